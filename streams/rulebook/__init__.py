"""The decider of rules and silences: which version of which rule is in force, and who is to be silent."""
