"""The contract of LogReader, on the in-memory version and on Kafka."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka_log import KafkaLog
from connectors.memory import MemoryLog
from connectors.ports import Away
from infra.stack.harness import Stack, running_stack
from schemas.log import TopicPartition

PARTITIONS = 2
BATCH = 7  # records; small, so that a read is of many batches
Record = tuple[bytes | None, bytes | None]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("log"), only=("broker",)) as stack:
        yield stack


@dataclass
class Log:
    """A reader, a topic of its own, and how records come into that topic and leave it."""

    reader: Any
    topic: str
    write: Callable[[int, list[Record]], None]
    hole: Callable[[int], None]
    truncate: Callable[[int, int], None]

    def source(self, partition: int = 0) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    def read(self, start: int, stop: int, partition: int = 0) -> dict[int, Record]:
        """What a read gives: offset -> key and value; every batch is looked at on the way."""
        found: dict[int, Record] = {}
        for batch in self.reader.read(self.source(partition), start, stop):
            assert batch.source == self.source(partition)
            assert 1 <= len(batch) == len(batch.keys) == len(batch.values) <= BATCH
            assert list(batch.offsets) == sorted(set(batch.offsets))
            assert batch.first > max(found, default=-1)
            found.update(zip(batch.offsets, zip(batch.keys, batch.values, strict=True), strict=True))
        return found


def memory_log() -> Log:
    log = MemoryLog({"topic": PARTITIONS}, batch_records=BATCH)

    def write(partition: int, records: list[Record]) -> None:
        for key, value in records:
            log.append(TopicPartition("topic", partition), key, value)

    def hole(partition: int) -> None:
        source = TopicPartition("topic", partition)
        (end,) = (end for found, (_, end) in log.bounds(["topic"]).items() if found == source)
        log.append(source, None, b"aborted", offset=end)
        log.forget(source, end)
        log.leave_hole(source)

    return Log(log, "topic", write, hole, lambda partition, at: log.truncate(TopicPartition("topic", partition), at))
