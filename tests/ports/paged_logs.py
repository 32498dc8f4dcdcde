"""Logs to read pages of, in memory and on Kafka: the same ways to fill them."""

import asyncio
import ctypes
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

from confluent_kafka import Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka_pages import KafkaPages
from connectors.memory import MemoryLog
from connectors.memory_pages import MemoryPages
from connectors.pages import Page, PageReader
from connectors.ports import Away
from infra.stack.harness import Stack
from schemas.log import TopicPartition

T = TypeVar("T")
START = 1_777_636_800_000  # milliseconds since 1970
MUCH = 100_000_000  # bytes
Headers = Sequence[tuple[str, bytes | None]]


@dataclass
class Log:
    """A reader, a topic of its own with two partitions, and how records come into that topic and leave it.

    `write` adds a record to partition 0, `hole` an aborted one, `truncate` forgets those below an offset.
    """

    reader: PageReader
    topic: str
    write: Callable[[bytes | None, bytes | None, int, Headers], None]
    hole: Callable[[], None]
    truncate: Callable[[int], None]

    @property
    def source(self) -> TopicPartition:
        return TopicPartition(self.topic, 0)

    async def page(self, start: int, most: int = 10_000, size: int = MUCH) -> Page:
        return await self.reader.page(self.source, start, most, size)

    def fill(self, first: int, following: int, size: int = 10) -> None:
        for number in range(first, following):
            self.write(b"k%d" % number, b"%0*d" % (size, number), START + number, ())


def memory_log() -> Log:
    log = MemoryLog({"topic": 2})
    pages = MemoryPages(log)
    source = TopicPartition("topic", 0)

    def write(key: bytes | None, value: bytes | None, timestamp: int, headers: Headers) -> None:
        pages.mark(source, log.append(source, key, value), timestamp, headers=headers)

    return Log(pages, "topic", write, lambda: log.skip(source, 2), lambda at: log.truncate(source, at))


def kafka_log(stack: Stack) -> Log:
    servers = {"bootstrap.servers": stack.settings.kafka}
    admin, topic = AdminClient(servers), f"t{uuid4().hex}"
    config = {"retention.ms": "-1", "max.message.bytes": "13000000"}
    admin.create_topics([NewTopic(topic, 2, 1, config=config)])[topic].result(30)
    producer = Producer({**servers, "linger.ms": 0, "message.max.bytes": 13_000_000})
    reader = KafkaPages(stack.settings.kafka, seconds=3.0)
    source = TopicPartition(topic, 0)

    def write(key: bytes | None, value: bytes | None, timestamp: int, headers: Headers) -> None:
        producer.produce(topic, value, key, partition=0, timestamp=timestamp, headers=list(headers))
        assert producer.flush(10) == 0

    def hole() -> None:
        transaction = Producer({**servers, "transactional.id": uuid4().hex})
        before = end_of(reader, source)
        transaction.init_transactions(10)
        transaction.begin_transaction()
        transaction.produce(topic, b"aborted", partition=0)
        assert transaction.flush(10) == 0
        transaction.abort_transaction(10)
        until = time.monotonic() + 10
        while end_of(reader, source) < before + 2:  # markers follow the answer
            assert time.monotonic() < until

    def truncate(at: int) -> None:
        wanted = [KafkaPartition(topic, 0, at)]
        # confluent-kafka < 2.15 gives back references to this list that it does not own (its issue 2275): lend it as many.
        for _ in range(2):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(wanted))
        admin.delete_records(wanted)[wanted[0]].result(10)

    until = time.monotonic() + 10
    while not run(ends(reader, source)):
        assert time.monotonic() < until
    return Log(reader, topic, write, hole, truncate)


async def ends(reader: PageReader, source: TopicPartition) -> dict[TopicPartition, tuple[int, int]]:
    try:
        return dict(await reader.bounds([source]))
    except Away:  # a new topic has no leader at first
        return {}


def end_of(reader: PageReader, source: TopicPartition) -> int:
    return run(ends(reader, source))[source][1]


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)
