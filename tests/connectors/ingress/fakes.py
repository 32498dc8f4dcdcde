"""A producer and a registry that a test tells what to do."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError

from connectors.ingress.options import ANYWHERE, Header, Place
from connectors.memory import MemoryLog
from connectors.ports import Away, Busy, Latest, UnknownSchema, Version
from schemas.log import TopicPartition
from tests.connectors.ingress.fake_traces import FakeTraces, TracedLog


@dataclass
class Sent:
    """A record that was handed to the producer."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    partition: int
    timestamp: int


@dataclass
class Report:
    """Stands for librdkafka's message in a delivery report."""

    _partition: int
    _offset: int
    _timestamp: int = 0

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self._timestamp


class FakeProducer:
    """Port Producer. `away` refuses records, `hold` keeps reports back until `release`, `error_of` decides on each.

    After so many `steps` it is as if the process were killed: a step is a record that gets into the log, or a report.
    Records that were handed over before get into the log if `survives` says so; nothing is reported any more.
    """

    def __init__(self, log: MemoryLog, topics: Iterable[str], partitions: int) -> None:
        self.log, self.traces = log, log.traces if isinstance(log, TracedLog) else FakeTraces(log)
        self.steps: float = float("inf")
        self.survives: Callable[[], bool] = lambda: False
        self.away = ""
        self.hold = False
        self.error_of: Callable[[Sent], KafkaError | None] = lambda sent: None
        self.too_large = 1_000_000_000
        self.most_queued = 1_000_000
        self.sent: list[Sent] = []
        self.reread_times = 0
        closed = ("_schemas", "__consumer_offsets", "kafkasql-journal", "registry-events")
        self.topics = dict.fromkeys([*topics, "free", "hidden", *closed], partitions)
        self._held: list[Callable[[], None]] = []

    @property
    def queued(self) -> int:
        return len(self._held)

    @property
    def queued_bytes(self) -> int:
        return 0

    async def partitions(self, topic: str) -> int | None:
        if self.away:
            raise Away(self.away)
        return self.topics.get(topic)

    async def listed(self) -> Iterable[str]:
        if self.away:
            raise Away(self.away)
        return self.topics

    async def reread(self) -> None:
        self.reread_times += 1

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header],
        done: Callable[..., None],
        place: Place = ANYWHERE,
    ) -> None:
        assert isinstance(headers, list)  # librdkafka's client takes no other sequence
        if self.steps <= 0:
            return
        if self.away:
            raise Away(self.away)
        if len(self._held) >= self.most_queued:
            raise Busy("the queue of records to write is full")
        if len(value or b"") > self.too_large:
            raise ValueError("the record is too large")
        sent = Sent(topic, key, value, headers, *place)
        self.sent.append(sent)
        if self.hold:
            self._held.append(lambda: self._report(sent, done))
        else:
            asyncio.get_running_loop().call_soon(self._report, sent, done)

    def release(self) -> None:
        """From the server's loop: report all that is held."""
        held, self._held = self._held, []
        for report in held:
            report()

    def _report(self, sent: Sent, done: Callable[..., None]) -> None:
        error = self.error_of(sent)
        if error is not None:
            done(error, Report(0, -1001))
            return
        killed = self.steps <= 0
        if killed and not self.survives():
            return
        self.steps -= 1
        source, timestamp = TopicPartition(sent.topic, max(sent.partition, 0)), sent.timestamp or int(time.time() * 1000)
        offset = self.log.append(source, sent.key, sent.value)
        self.traces.note(source, offset, timestamp, sent.headers)
        if self.steps > 0:
            self.steps -= 1
            done(None, Report(source.partition, offset, timestamp))


class FakeRegistry:
    """Port SchemaRegistry."""

    def __init__(self) -> None:
        self.away = False
        self.schemas: list[Mapping[str, Any]] = []
        self.subjects: dict[str, list[int]] = {}

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        self._answer()
        if schema not in self.schemas:
            self.schemas.append(schema)
        schema_id = self.schemas.index(schema) + 1
        versions = self.subjects.setdefault(subject, [])
        if schema_id not in versions:
            versions.append(schema_id)
        return schema_id

    def version(self, subject: str, number: int | Latest) -> Version:
        self._answer()
        versions = self.subjects.get(subject, [])
        place = len(versions) if number == "latest" else number
        if not 1 <= place <= len(versions):
            raise UnknownSchema(f"the registry has no version {number} of the subject {subject}")
        return Version(place, versions[place - 1], dict(self.schemas[versions[place - 1] - 1]))

    def schema(self, schema_id: int) -> dict[str, Any]:
        self._answer()
        if not 1 <= schema_id <= len(self.schemas):
            raise UnknownSchema(f"the registry has no schema {schema_id}")
        return dict(self.schemas[schema_id - 1])

    def _answer(self) -> None:
        if self.away:
            raise Away("the registry was told to be away")
