"""Metrics of a worker's views, and the HTTP surface that shows them (Monitor of streams.live).

Names follow Prometheus's conventions: seconds, _total, labels for view, topic and partition.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.process_collector import ProcessCollector

from connectors.service_health import store_of
from schemas.log import Batch, TopicPartition

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
RECORDS = (1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000)
WHERE = ("view", "topic", "partition")


class HandledBatch(Protocol):
    """What became of a batch (streams.runner.Handled)."""

    @property
    def records(self) -> int: ...

    @property
    def set_aside(self) -> int: ...


class HandledCommands(Protocol):
    """What became of a poll's worth of commands (streams.decider.Handled)."""

    @property
    def commands(self) -> int: ...

    @property
    def set_aside(self) -> int: ...

    @property
    def records(self) -> int: ...

    @property
    def refusals(self) -> Mapping[str, int]: ...


class PrometheusMonitor:
    """Counts what the views and deciders of one worker do. A decider has its name in the label `view` of what both have."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._records = Counter("fleetlog_records_folded", "Records folded", WHERE, registry=self.registry)
        self._letters = Counter("fleetlog_dead_letters", "Records set aside", WHERE, registry=self.registry)
        self._waits = Counter(
            "fleetlog_waits", "Times a batch had to wait for a store or broker", WHERE, registry=self.registry
        )
        self._halted = Gauge("fleetlog_halted", "1 while the partition is halted", WHERE, registry=self.registry)
        self._lag = Gauge("fleetlog_lag_records", "Records not yet folded", WHERE, registry=self.registry)
        self._size = Histogram(
            "fleetlog_batch_records", "Records in a batch", ("view",), registry=self.registry, buckets=RECORDS
        )
        self._seconds = Histogram(
            "fleetlog_fold_seconds",
            "Time to decode, fold and store a batch",
            ("view",),
            registry=self.registry,
            buckets=SECONDS,
        )
        self._commands = self._counter("fleetlog_commands", "Commands decided")
        self._written = self._counter("fleetlog_decided_records", "Events and further commands written by deciders")
        self._no_commands = self._counter("fleetlog_bad_commands", "Records set aside by deciders")
        self._refusals = self._counter("fleetlog_refusals", "Commands refused", "code")
        self._transaction = Histogram(
            "fleetlog_decide_seconds",
            "Time to decide what was polled and to commit it",
            ("decider",),
            registry=self.registry,
            buckets=SECONDS,
        )

        self._count_others()

    def _count_others(self) -> None:
        self._failures = Counter(
            "fleetlog_store_failures", "Times that a store or the broker did not answer", ("store",), registry=self.registry
        )
        self._notifications = Counter(
            "fleetlog_notifications",
            "Notifications by channel and what became of them: sent, or why not",
            ("channel", "outcome"),
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, ("decider", *labels), registry=self.registry)

    def folded(self, view: str, batch: Batch, handled: HandledBatch, seconds: float) -> None:
        where = (view, batch.source.topic, str(batch.source.partition))
        self._records.labels(*where).inc(handled.records)
        self._letters.labels(*where).inc(handled.set_aside)
        self._halted.labels(*where).set(0)
        self._size.labels(view).observe(len(batch))
        self._seconds.labels(view).observe(seconds)

    def decided(self, decider: str, handled: HandledCommands, seconds: float) -> None:
        """See streams.live_decider."""
        self._commands.labels(decider).inc(handled.commands)
        self._written.labels(decider).inc(handled.records)
        self._no_commands.labels(decider).inc(handled.set_aside)
        for code, times in handled.refusals.items():
            self._refusals.labels(decider, code).inc(times)
        self._transaction.labels(decider).observe(seconds)

    def notified(self, channel: str, outcome: str) -> None:
        """See streams.notify.notifier."""
        self._notifications.labels(channel, outcome).inc()

    def waiting(self, view: str, source: TopicPartition, error: BaseException) -> None:
        self._waits.labels(view, source.topic, str(source.partition)).inc()
        self._failures.labels(store_of(error)).inc()

    def halted(self, view: str, source: TopicPartition, error: BaseException) -> None:
        self._halted.labels(view, source.topic, str(source.partition)).set(1)

    def lag(self, view: str, lags: dict[TopicPartition, int]) -> None:
        for source, lag in lags.items():
            self._lag.labels(view, source.topic, str(source.partition)).set(lag)


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is not worth a line of log."""


def serve(host: str, port: int, registry: CollectorRegistry, health: Callable[[], tuple[bool, object]]) -> None:
    """Answer GET /metrics and GET /health (200 or 503, JSON) in a thread of its own, for the process's life.

    Raises:
        OSError: the port is taken.
    """
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/health"):
            healthy, detail = health()
            start("200 OK" if healthy else "503 Service Unavailable", [("Content-Type", "application/json")])
            return [json.dumps(detail).encode()]
        answer: Iterable[bytes] = metrics(environ, start)
        return answer

    server = make_server(host, port, app, handler_class=_QuietHandler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
