"""What a process has served and what did not answer it, every ten seconds on the topic fleet.system.

The figures are differences of the process's own metrics. Nothing waits for this: while the broker or the registry is away
nothing is written, and what was counted meanwhile is part of the next report.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaException, Producer
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from connectors.ports import Away, SchemaRegistry
from schemas.codec import Encoder
from schemas.contract import Topic
from schemas.wire import prefix

log = logging.getLogger(__name__)

TOPIC = "fleet.system"
EVERY_SECONDS = 10.0
MOST_QUEUED = 100  # reports that wait for the broker
PATIENCE_MILLISECONDS = 30_000  # ... each for so long
COUNTED = (
    "requests", "client_errors", "server_errors", "redis_failures", "clickhouse_failures", "broker_failures",
    "registry_failures", "refused_handshakes", "rate_limited",
)  # fmt: skip
STORES = ("redis", "clickhouse", "kafka", "registry")


def store_of(error: BaseException) -> str:
    """Which of STORES did not answer, by the adapter that an error comes from; `other` where it is none of theirs."""
    found = "other"
    trace = error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", "")).removeprefix("connectors.")
        found = next((store for store in STORES if module.startswith(store)), found)
        trace = trace.tb_next
    return found


def totals(samples: Iterable[Sample]) -> dict[str, int]:
    """What a process has counted since its start, by COUNTED."""
    found = dict.fromkeys(COUNTED, 0)
    stores = {"redis": "redis_failures", "clickhouse": "clickhouse_failures", "kafka": "broker_failures"}
    for name, labels, value, *_ in samples:
        number = int(value)
        if name == "fleetlog_ingress_request_seconds_count":
            found["requests"] += number
            status = labels["status"]
            found["client_errors"] += number if status.startswith("4") else 0
            found["server_errors"] += number if status.startswith("5") else 0
        elif name == "fleetlog_ingress_produce_errors_total":
            found["broker_failures"] += number
        elif name == "fleetlog_ingress_rate_uncounted_total":
            found["redis_failures"] += number
        elif name == "fleetlog_store_failures_total" and labels["store"] in STORES:
            found[stores.get(labels["store"], "registry_failures")] += number
        elif name == "fleetlog_ingress_tls_failures_total":
            found["refused_handshakes"] += number
        elif name == "fleetlog_ingress_rate_limited_total":
            found["rate_limited"] += number
    return found


def identity(moment: float) -> str:
    """A UUIDv7 of a moment (seconds since 1970)."""
    bits = (int(moment * 1000) << 80) | (7 << 76) | (secrets.randbits(12) << 64) | (2 << 62) | secrets.randbits(62)
    return str(UUID(int=bits))


class ServiceHealth:
    """Reports on one process, from a thread of its own. `instance`: its name, such as worker-0."""

    def __init__(
        self,
        service: str,
        instance: str,
        registry: CollectorRegistry,
        make_encode: Callable[[], Callable[[dict[str, Any]], bytes]],
        write: Callable[[str, bytes], None],
    ) -> None:
        """`make_encode` gives what makes a report's framed value; it may raise Away. `write` is given each report's key and
        value; it may raise Away, and does not wait."""
        self._service, self._instance, self._registry, self._write = service, instance, registry, write
        self._make_encode = make_encode
        self._told = dict.fromkeys(COUNTED, 0)
        self._since = time.time()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="service-health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def report(self, encode: Callable[[dict[str, Any]], bytes], now: float) -> bool:
        """Report once; False where it is put off."""
        try:
            counted = totals(sample for family in self._registry.collect() for sample in family.samples)
        except RuntimeError as error:  # a count came to be while they were read
            log.debug("the metrics are read again later: %s", error)
            return False
        moment = int(now * 1_000_000)
        values: dict[str, Any] = {
            "event_id": identity(now),
            "service": self._service,
            "instance": self._instance,
            "occurred_at": moment,
            "received_at": moment,
            "interval": max(0.0, now - self._since),
            **{name: max(0, counted[name] - self._told[name]) for name in COUNTED},
        }
        try:
            self._write(self._instance, encode(values))
        except Away as away:
            log.debug("no report of the service's health: %s", away)
            return False
        self._told, self._since = counted, now
        return True

    def _run(self) -> None:
        encode: Callable[[dict[str, Any]], bytes] | None = None
        while not self._stop.wait(EVERY_SECONDS):
            try:
                encode = encode or self._make_encode()
            except Away as away:
                log.debug("no report of the service's health: %s", away)
                continue
            self.report(encode, time.time())


def encoder(topic: Topic, schemas: SchemaRegistry) -> Callable[[dict[str, Any]], bytes]:
    """Makes framed values of reports. Raises Away."""
    start = prefix(schemas.register(topic.subject(topic.record), topic.record.schema))
    encode = Encoder(topic.record).encode
    return lambda values: start + encode(values)


class KafkaReports:
    """Writes reports. What the broker does not take in time is given up."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "partitioner": "murmur2_random",
                "message.timeout.ms": PATIENCE_MILLISECONDS,
                "queue.buffering.max.messages": MOST_QUEUED,
                "linger.ms": 0,
                "enable.idempotence": True,
            },
            logger=log,
        )

    def __call__(self, key: str, value: bytes) -> None:
        self._producer.poll(0)
        try:
            self._producer.produce(TOPIC, value, key.encode())
        except (BufferError, KafkaException) as error:
            raise Away(f"the report was not written: {error}") from error
        self._producer.poll(0)
