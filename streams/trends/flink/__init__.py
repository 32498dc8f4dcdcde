"""The trends as jobs of Apache Flink. What imports Flink runs in an environment of its own (.venv-flink)."""
