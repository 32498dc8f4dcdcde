"""Reports on a process's own health: differences of its metrics, and nothing lost while the broker is away."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from connectors.ports import Away
from connectors.prometheus import PrometheusMonitor
from connectors.redis_store import RedisKeyedStore
from connectors.service_health import COUNTED, TOPIC, ServiceHealth, encoder, store_of, totals
from schemas.codec import Decoder
from schemas.contract import load
from schemas.log import TopicPartition
from schemas.wire import PREFIX_BYTES

REPORTS = load().topics[TOPIC]


class Registry:
    def register(self, subject: str, schema: Any) -> int:
        return 7


class Written:
    def __init__(self) -> None:
        self.away = False
        self.values: list[dict[str, Any]] = []

    def __call__(self, key: str, value: bytes) -> None:
        if self.away:
            raise Away("told so")
        self.values.append(Decoder(REPORTS.record.schema).decode(value[PREFIX_BYTES:]))


def answered(requests: Histogram, **counts: int) -> None:
    for status, count in counts.items():
        for _ in range(count):
            requests.labels("/v1/devices", status.strip("_")).observe(0.1)


def test_reports_are_differences_and_nothing_is_lost_while_the_broker_is_away() -> None:
    metrics, written = CollectorRegistry(), Written()
    requests = Histogram("fleetlog_ingress_request_seconds", "x", ("route", "status"), registry=metrics)
    limited = Counter("fleetlog_ingress_rate_limited", "x", ("limit",), registry=metrics)
    health = ServiceHealth("ingress", "ingress-1", metrics, lambda: lambda values: b"", written)
    encode = encoder(REPORTS, Registry())  # type: ignore[arg-type]
    answered(requests, _200=3, _404=2, _503=1)
    limited.labels("data").inc(4)
    assert health.report(encode, 1_000.0)
    written.away = True
    answered(requests, _500=5)
    assert not health.report(encode, 1_010.0)
    written.away = False
    answered(requests, _200=1)
    assert health.report(encode, 1_020.0)
    assert health.report(encode, 1_030.0)
    names = ("requests", "client_errors", "server_errors", "rate_limited", "interval")
    told = [tuple(values[name] for name in names) for values in written.values]
    assert told[0][:4] == (6, 2, 1, 4)
    assert told[1:] == [(6, 0, 5, 0, 20.0), (0, 0, 0, 0, 10.0)]
    assert {values["instance"] for values in written.values} == {"ingress-1"}
    assert len({values["event_id"] for values in written.values}) == 3


def test_a_store_that_does_not_answer_is_counted_as_itself() -> None:
    store = RedisKeyedStore("redis://127.0.0.1:1/0", "device_state")
    monitor, found_in = PrometheusMonitor(), ""
    try:
        store.live()
    except Away as away:
        monitor.waiting("device_state", TopicPartition("fleet.telemetry", 0), away)
        found_in = store_of(away)
    assert found_in == "redis"
    monitor.waiting("device_state", TopicPartition("fleet.telemetry", 0), Away("of nobody"))
    found = totals(sample for family in monitor.registry.collect() for sample in family.samples)
    assert found == {**dict.fromkeys(COUNTED, 0), "redis_failures": 1}
