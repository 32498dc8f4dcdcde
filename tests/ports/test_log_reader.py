"""The contract of LogReader, on the in-memory version and on Kafka."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.corrections import CorrectedLog
from connectors.kafka_log import KafkaLog
from connectors.memory import MemoryLog
from connectors.ports import Away
from infra.stack.harness import Stack, running_stack
from schemas.corrections import Corrections
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
    open: Callable[[int, list[Record]], Callable[[], None]]
    truncate: Callable[[int, int], None]

    def source(self, partition: int = 0) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    def read(self, start: int, stop: int, partition: int = 0) -> dict[int, Record]:
        """What a read gives: offset -> key and value; every batch is looked at on the way."""
        found: dict[int, Record] = {}
        following = start
        for batch in self.reader.read(self.source(partition), start, stop):
            assert batch.source == self.source(partition)
            assert len(batch.offsets) == len(batch.keys) == len(batch.values) <= BATCH
            assert batch.begins == following < batch.following
            assert [offset for offset in batch.offsets if batch.begins <= offset < batch.following] == list(batch.offsets)
            assert list(batch.offsets) == sorted(set(batch.offsets))
            found.update(zip(batch.offsets, zip(batch.keys, batch.values, strict=True), strict=True))
            following = batch.following
        assert following == max(start, min(stop, self.end(partition)))
        return found

    def end(self, partition: int = 0) -> int:
        return int(self.reader.bounds([self.topic])[self.source(partition)][1])


def memory_log() -> Log:
    log = MemoryLog({"topic": PARTITIONS}, batch_records=BATCH)

    def write(partition: int, records: list[Record]) -> None:
        for key, value in records:
            log.append(TopicPartition("topic", partition), key, value)

    def opened(partition: int, records: list[Record]) -> Callable[[], None]:
        source = TopicPartition("topic", partition)
        log.hold(source)
        write(partition, records)

        def commit() -> None:
            log.skip(source, 1)
            log.release(source)

        return commit

    return Log(
        log,
        "topic",
        write,
        lambda partition: log.skip(TopicPartition("topic", partition), 2),
        opened,
        lambda partition, at: log.truncate(TopicPartition("topic", partition), at),
    )


def await_leaders(reader: KafkaLog, topic: str) -> None:
    """A topic is created before its partitions have leaders."""
    until = time.monotonic() + 10
    while True:
        try:
            assert len(reader.bounds([topic])) == PARTITIONS
            return
        except Away:
            assert time.monotonic() < until


def opened_on(
    reader: KafkaLog, servers: dict[str, str], source: TopicPartition, records: list[Record]
) -> Callable[[], None]:
    """Records of a transaction that is open until the function that comes back is called."""
    began = reader.bounds([source.topic])[source][1]
    producer = Producer({**servers, "transactional.id": uuid4().hex})
    producer.init_transactions(10)
    producer.begin_transaction()
    for key, value in records:
        producer.produce(source.topic, value, key, partition=source.partition)
    assert producer.flush(30) == 0

    def commit() -> None:
        producer.commit_transaction(10)
        until = time.monotonic() + 10
        while reader.bounds([source.topic])[source][1] <= began:  # the marker follows the answer
            assert time.monotonic() < until

    return commit


def kafka_log(stack: Stack) -> Log:
    servers = {"bootstrap.servers": stack.settings.kafka}
    admin, topic = AdminClient(servers), f"t{uuid4().hex}"
    reader = KafkaLog(stack.settings.kafka, timeout=5.0, batch_records=BATCH)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(10)
    await_leaders(reader, topic)

    def write(partition: int, records: list[Record]) -> None:
        producer = Producer({**servers, "linger.ms": 5, "enable.idempotence": True})
        for key, value in records:
            producer.produce(topic, value, key, partition=partition)
        assert producer.flush(30) == 0

    def opened(partition: int, records: list[Record]) -> Callable[[], None]:
        return opened_on(reader, servers, TopicPartition(topic, partition), records)

    def hole(partition: int) -> None:
        """A record of an aborted transaction, and the control record that says so."""
        _, before = reader.bounds([topic])[TopicPartition(topic, partition)]
        producer = Producer({**servers, "transactional.id": uuid4().hex})
        producer.init_transactions(10)
        producer.begin_transaction()
        producer.produce(topic, b"aborted", partition=partition)
        assert producer.flush(30) == 0
        producer.abort_transaction(10)
        until = time.monotonic() + 10
        while reader.bounds([topic])[TopicPartition(topic, partition)][1] < before + 2:  # markers follow the answer
            assert time.monotonic() < until

    def truncate(partition: int, at: int) -> None:
        wanted = [KafkaPartition(topic, partition, at)]
        # confluent-kafka < 2.15 gives back references to this list that it does not own (its issue 2275), which would free
        # a live object: lend it as many.
        for _ in range(2):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(wanted))
        for done in admin.delete_records(wanted).values():
            done.result(10)

    return Log(reader, topic, write, hole, opened, truncate)


@pytest.fixture(params=["memory", "kafka", "memory-corrected", "kafka-corrected"])
def log(request: pytest.FixtureRequest, broker: Stack) -> Iterator[Log]:
    made = memory_log() if request.param.startswith("memory") else kafka_log(broker)
    if request.param.endswith("corrected"):
        made.reader = CorrectedLog(made.reader, Corrections())
    yield made
    made.reader.close()


def numbered(first: int, following: int) -> list[Record]:
    return [(f"k{number}".encode(), f"v{number}".encode()) for number in range(first, following)]


def test_an_empty_topic_has_bounds_and_no_records(log: Log) -> None:
    assert log.reader.bounds([log.topic]) == {log.source(0): (0, 0), log.source(1): (0, 0)}
    assert log.read(0, 10) == {}
    assert log.reader.bounds([]) == {}


def test_a_topic_that_is_not_there_is_awaited(log: Log) -> None:
    with pytest.raises(Away):
        log.reader.bounds([log.topic, f"none-{uuid4().hex}"])


def test_records_come_in_order_from_start_to_stop(log: Log) -> None:
    records = numbered(0, 40)
    log.write(0, records)
    log.write(1, numbered(0, 3))
    assert log.reader.bounds([log.topic]) == {log.source(0): (0, 40), log.source(1): (0, 3)}
    for start, stop in ((0, 40), (0, 1), (39, 40), (6, 7), (7, 14), (3, 31), (0, 7), (38, 100), (40, 50)):
        assert log.read(start, stop) == dict(list(enumerate(records))[start:stop])
    assert log.read(5, 5) == {} == log.read(9, 3)
    assert log.read(0, 9, partition=1) == dict(enumerate(numbered(0, 3)))


def test_tombstones_and_empty_records_are_records(log: Log) -> None:
    records: list[Record] = [(b"k", None), (None, b""), (None, None), (b"", b"\x00")]
    log.write(0, records)
    assert log.read(0, 4) == dict(enumerate(records))


def test_a_hole_is_stepped_over(log: Log) -> None:
    log.write(0, numbered(0, 3))
    log.hole(0)
    log.write(0, numbered(5, 9))
    kept = {offset: record for offset, record in enumerate(numbered(0, 9)) if offset not in (3, 4)}
    assert log.reader.bounds([log.topic])[log.source(0)] == (0, 9)
    assert log.read(0, 9) == kept
    assert log.read(3, 9) == {offset: record for offset, record in kept.items() if offset >= 5}
    assert log.read(3, 5) == {}
    assert log.read(2, 4) == {2: kept[2]}


def test_a_hole_at_the_end_does_not_hold_a_read_up(log: Log) -> None:
    log.write(0, numbered(0, 3))
    log.hole(0)
    assert log.reader.bounds([log.topic])[log.source(0)] == (0, 5)
    assert log.read(0, 5) == dict(enumerate(numbered(0, 3)))
    assert log.read(3, 5) == {}


def test_what_belongs_to_an_open_transaction_is_behind_the_end(log: Log) -> None:
    log.write(0, numbered(0, 3))
    commit = log.open(0, numbered(3, 5))
    log.write(0, numbered(5, 8))
    assert log.reader.bounds([log.topic])[log.source(0)] == (0, 3)
    assert log.read(0, 8) == dict(enumerate(numbered(0, 3)))
    assert log.read(3, 8) == {}
    commit()
    assert log.reader.bounds([log.topic])[log.source(0)] == (0, 9)
    assert log.read(0, 9) == dict(enumerate(numbered(0, 8)))
    assert log.read(7, 9) == {7: numbered(7, 8)[0]}
    assert log.read(8, 9) == {}


def test_what_is_no_longer_kept_can_not_be_read(log: Log) -> None:
    log.write(0, numbered(0, 20))
    log.truncate(0, 6)
    assert log.reader.bounds([log.topic])[log.source(0)] == (6, 20)
    assert log.read(6, 20) == dict(list(enumerate(numbered(0, 20)))[6:])
    for start in (0, 5, 21):
        with pytest.raises(ValueError, match=f"from {start}"):
            log.read(start, 30)


def test_a_read_given_up_half_way_does_not_disturb_the_next(log: Log) -> None:
    log.write(0, numbered(0, 30))
    log.write(1, numbered(0, 5))
    first = next(iter(log.reader.read(log.source(0), 2, 30)))
    assert first.first == 2
    assert log.read(0, 5, partition=1) == dict(enumerate(numbered(0, 5)))
    assert log.read(0, 30) == dict(enumerate(numbered(0, 30)))


def test_a_stopped_broker_is_away_and_the_read_goes_on_later(broker: Stack) -> None:
    log = kafka_log(broker)
    log.write(0, numbered(0, 10))
    short = KafkaLog(broker.settings.kafka, timeout=1.0, batch_records=BATCH)
    os.kill(broker.pid("broker"), signal.SIGSTOP)
    try:
        with pytest.raises(Away):
            short.bounds([log.topic])
        with pytest.raises(Away):
            list(short.read(log.source(0), 0, 10))
    finally:
        os.kill(broker.pid("broker"), signal.SIGCONT)
    broker.wait_healthy("broker")
    assert log.read(0, 10) == dict(enumerate(numbered(0, 10)))
    short.close()
    log.reader.close()


def test_the_memory_log_refuses_an_offset_that_is_taken() -> None:
    log = MemoryLog({"topic": 1})
    source = TopicPartition("topic", 0)
    assert log.append(source, None, b"a", offset=5) == 5
    assert log.append(source, None, b"b") == 6
    with pytest.raises(ValueError, match="offset 6 is below the end 7"):
        log.append(source, None, b"c", offset=6)
    assert [batch.offsets for batch in log.read(source, 0, 9)] == [range(5, 7)]
