"""Metrics of the gates, read when a scrape asks."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from connectors.ingress.entrances import Entrances


class GuardCounts(Collector):
    """The counts that the gates keep themselves."""

    def __init__(self, entrances: Entrances) -> None:
        self._entrances = entrances

    def collect(self) -> Iterator[CounterMetricFamily]:
        entrances = self._entrances
        handshakes = CounterMetricFamily(
            "fleetlog_ingress_tls_failures",
            "TLS connections that did not come about, by listener and reason",
            labels=("listener", "reason"),
        )
        for labels, count in entrances.failed.items():
            handshakes.add_metric(labels, count)
        yield handshakes
        seen = CounterMetricFamily(
            "fleetlog_ingress_security_sightings", "What no honest client does, by kind", labels=("kind",)
        )
        for kind, count in tuple(entrances.security.seen.items()):
            seen.add_metric((kind,), count)
        yield seen
        yield _one("security_events_lost", "Security events that were not written", entrances.security.lost)
        limited = CounterMetricFamily(
            "fleetlog_ingress_rate_limited", "Requests that were one too many, by limit", labels=("limit",)
        )
        for name, count in tuple(entrances.limits.refused.items()):
            limited.add_metric((name,), count)
        yield limited
        yield _one("rate_uncounted", "Requests let through while Redis was away", entrances.limits.uncounted)
        yield _one(
            "certificates_remembered",
            "Certificates judged by the last answer while the ledger's view was away",
            entrances.states.remembered,
        )


def _one(name: str, doc: str, count: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"fleetlog_ingress_{name}", doc, value=count)
