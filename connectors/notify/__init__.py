"""Channels: where people and programs are told of alerts."""
