"""Telling people of alerts: what is to be told follows from the log, and is in the log before it is told."""
