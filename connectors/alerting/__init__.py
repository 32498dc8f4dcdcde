"""Rules and alerts over HTTP."""
