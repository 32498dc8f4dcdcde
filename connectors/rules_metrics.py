"""Metrics of a worker's rules engines (RulesMonitor of streams.live_rules)."""

from collections.abc import Mapping
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from connectors.prometheus import SECONDS, PrometheusMonitor
from schemas.log import TopicPartition


class Rows(Protocol):
    """What became of rows (streams.rules.run.Counts)."""

    @property
    def evaluated(self) -> int: ...
    @property
    def late(self) -> int: ...
    @property
    def unclear(self) -> int: ...
    @property
    def again(self) -> int: ...
    @property
    def unreadable(self) -> int: ...


class Turn(Protocol):
    """What a turn did (streams.rules.runner.Turned)."""

    @property
    def records(self) -> int: ...
    @property
    def alerts(self) -> int: ...
    @property
    def suspended(self) -> int: ...
    @property
    def counts(self) -> Rows: ...
    @property
    def lag(self) -> Mapping[int, int]: ...


class RulesMetrics:
    """Counts what the engines do, beside what the worker's monitor counts."""

    def __init__(self, monitor: PrometheusMonitor) -> None:
        registry, self._monitor = monitor.registry, monitor
        self._rows = Counter(
            "fleetlog_rules_rows",
            "Rows asked about, once for each rule (evaluated), of which came late (late) or lacked what was asked for "
            "(unclear); uploads that came again, and records that could not be read",
            ("what",),
            registry=registry,
        )
        self._records = Counter("fleetlog_rules_records", "Records taken into cuts", registry=registry)
        self._alerts = Counter("fleetlog_rules_alert_events", "Events of alerts written", registry=registry)
        self._suspended = Counter("fleetlog_rules_suspended", "Rules whose suspension was asked for", registry=registry)
        self._lag = Gauge(
            "fleetlog_rules_cut_lag_seconds",
            "By how much the engine's clock was behind in its last turn",
            ("partition",),
            registry=registry,
        )
        self._seconds = Histogram(
            "fleetlog_rules_turn_seconds", "Time of a turn, waiting included", registry=registry, buckets=SECONDS
        )

    def turned(self, turned: Turn, seconds: float) -> None:
        counts = turned.counts
        for what in ("evaluated", "late", "unclear", "again", "unreadable"):
            self._rows.labels(what).inc(getattr(counts, what))
        self._records.inc(turned.records)
        self._alerts.inc(turned.alerts)
        self._suspended.inc(turned.suspended)
        for partition, micros in turned.lag.items():
            self._lag.labels(str(partition)).set(micros / 1e6)
        self._seconds.observe(seconds)

    def waiting(self, view: str, source: TopicPartition, error: BaseException) -> None:
        self._monitor.waiting(view, source, error)

    def halted(self, view: str, source: TopicPartition, error: BaseException) -> None:
        self._monitor.halted(view, source, error)

    def lag(self, view: str, lags: dict[TopicPartition, int]) -> None:
        self._monitor.lag(view, lags)
