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
    """Port Producer. `away` refuses records, `hold` keeps reports back until `release`, `error_of` decides on each."""

    def __init__(self, log: MemoryLog, topics: Iterable[str], partitions: int) -> None:
        self.log = log
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
        partition = max(sent.partition, 0)
        offset = self.log.append(TopicPartition(sent.topic, partition), sent.key, sent.value)
        done(None, Report(partition, offset, sent.timestamp or int(time.time() * 1000)))


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
