"""Metrics of the ingress, for Prometheus."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from connectors.ingress.delivery import Deadlines
from connectors.ingress.options import Producer
from connectors.ingress.uploads import Uploads

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class RestCounts(Protocol):
    """Records of Kafka-REST requests by outcome."""

    written: int
    failed: int


class Kept(Protocol):
    """What is remembered of requests with an idempotency key."""

    @property
    def bytes(self) -> int: ...

    @property
    def unfinished(self) -> Sequence[object]: ...

    def __len__(self) -> int: ...


class RetryCounts(Protocol):
    """Requests with an idempotency key by outcome."""

    finished: int
    replayed: int
    resumed: int
    refused: int

    @property
    def remembered(self) -> Kept: ...


class IngressMetrics:
    """What one ingress process did. Counts that others keep are read when a scrape asks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._latency = Histogram(
            "fleetlog_ingress_request_seconds",
            "Time to answer a request",
            ("route", "status"),
            registry=self.registry,
            buckets=SECONDS,
        )
        self._latencies: dict[tuple[str, int], Histogram] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        key = (route, status)
        latency = self._latencies.get(key)
        if latency is None:
            latency = self._latencies[key] = self._latency.labels(route, str(status))
        latency.observe(seconds)

    def watch(self, producer: Producer, deadlines: Deadlines, uploads: Mapping[str, Uploads], rest: RestCounts) -> None:
        """Show these parts' own counts."""
        self._gauge("fleetlog_ingress_queued_records", "Records not yet acknowledged", lambda: producer.queued)
        self._gauge("fleetlog_ingress_queued_bytes", "Bytes of them", lambda: producer.queued_bytes)
        self._gauge("fleetlog_ingress_requests_in_flight", "Requests that wait for the broker", lambda: len(deadlines))
        self._gauge("fleetlog_ingress_broker_up", "1 while the broker answers", lambda: 0 if producer.away else 1)
        self.registry.register(_Counts(uploads, rest))

    def watch_retries(self, retries: RetryCounts) -> None:
        """Show what is kept of requests with an idempotency key, and what became of them."""
        kept = retries.remembered
        self._gauge("fleetlog_ingress_idempotency_keys", "Idempotency keys that are remembered", lambda: len(kept))
        self._gauge("fleetlog_ingress_idempotency_bytes", "Bytes that they take, about", lambda: kept.bytes)
        self._gauge("fleetlog_ingress_idempotency_open", "Of them, without a final answer", lambda: len(kept.unfinished))
        self.registry.register(_RetryOutcomes(retries))

    def text(self) -> bytes:
        """All metrics in Prometheus's text form."""
        return bytes(generate_latest(self.registry))

    def _gauge(self, name: str, doc: str, read: Callable[[], float]) -> None:
        Gauge(name, doc, registry=self.registry).set_function(read)


class _Counts(Collector):
    """The counts that uploads and Kafka-REST keep themselves."""

    def __init__(self, uploads: Mapping[str, Uploads], rest: RestCounts) -> None:
        self._uploads, self._rest = uploads, rest

    def collect(self) -> Iterator[CounterMetricFamily]:
        records = CounterMetricFamily(
            "fleetlog_ingress_records",
            "Uploads by outcome: accepted, repeated (a retry, not written again), refused (by the broker)",
            labels=("topic", "outcome"),
        )
        for uploads in self._uploads.values():
            for outcome in ("accepted", "repeated", "refused"):
                records.add_metric((uploads.kind.topic, outcome), getattr(uploads, outcome))
        yield records
        errors = CounterMetricFamily(
            "fleetlog_ingress_produce_errors",
            "Records that were not written: unsent (broker away, queue full, record too large), refused (by the broker)",
            labels=("topic", "reason"),
        )
        for uploads in self._uploads.values():
            for reason in ("unsent", "refused"):
                errors.add_metric((uploads.kind.topic, reason), getattr(uploads, reason))
        errors.add_metric(("rest", "failed"), self._rest.failed)
        yield errors
        rest = CounterMetricFamily("fleetlog_ingress_rest_records", "Kafka-REST records by outcome", labels=("outcome",))
        rest.add_metric(("written",), self._rest.written)
        rest.add_metric(("failed",), self._rest.failed)
        yield rest


class _RetryOutcomes(Collector):
    """The counts that requests with an idempotency key keep themselves."""

    def __init__(self, retries: RetryCounts) -> None:
        self._retries = retries

    def collect(self) -> Iterator[CounterMetricFamily]:
        requests = CounterMetricFamily(
            "fleetlog_ingress_idempotent_requests",
            "Requests with an idempotency key by outcome: finished (the first time), replayed (the same answer again), "
            "resumed (completed after an interruption), refused (the key was used for another request)",
            labels=("outcome",),
        )
        for outcome in ("finished", "replayed", "resumed", "refused"):
            requests.add_metric((outcome,), getattr(self._retries, outcome))
        yield requests
