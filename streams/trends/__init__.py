"""Trends, anomalies and forecasts: pure arithmetic that runs wherever Python and numpy do."""
