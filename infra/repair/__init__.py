"""Repairing views: dead letters, corrections, what made what."""
