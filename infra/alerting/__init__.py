"""Rules and alerts as operators have them: commands that wait for their answer, lists, files of rules."""
