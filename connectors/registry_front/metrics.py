"""Metrics of the front, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class FrontMetrics:
    """What one front did. What others count is read when a scrape asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._latency = Histogram(
            "fleetlog_registry_request_seconds",
            "Time to answer a request",
            ("route", "status"),
            registry=self.registry,
            buckets=SECONDS,
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        self._latency.labels(route, str(status)).observe(seconds)

    def gauge(self, name: str, doc: str, read: Callable[[], float]) -> None:
        """Show a figure that another keeps."""
        Gauge(name, doc, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """All metrics in Prometheus's text form."""
        return bytes(generate_latest(self.registry))
