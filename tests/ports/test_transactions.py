"""The contract of Transactions, in memory and on a real broker; what only a broker has is tested on it alone."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.group_options import GroupOptions
from connectors.kafka_ends import KafkaEnds
from connectors.kafka_log import KafkaLog
from connectors.kafka_transactions import KafkaTransactions, TransactionOptions
from connectors.memory import MemoryLog
from connectors.memory_transactions import MemoryGroup, MemoryTransactions
from connectors.ports import Away
from connectors.transactions import Disowned, Outgoing
from infra.stack.harness import Stack, running_stack
from schemas.log import TopicPartition
from schemas.partitioner import partition_of

PARTITIONS = 6
COMMANDS, EVENTS = "c", "e"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("transactions"), only=("broker",)) as stack:
        yield stack


@dataclass
class Ground:
    """A writer, the log it writes to, the group it is a member of; `join` makes all earlier memberships old."""

    writer: Any
    log: Any
    commands: str
    events: str
    join: Callable[[], Any]
    committed: Callable[[int], int | None]
    end_of: Callable[[TopicPartition], int]
    leave: Callable[[], None] = lambda: None

    def close(self) -> None:
        self.writer.close()
        self.log.close()
        self.leave()

    def read(self, partition: int) -> list[tuple[int, bytes | None, bytes | None]]:
        source = TopicPartition(self.events, partition)
        first, end = self.log.bounds([self.events])[source]
        return [
            record
            for batch in self.log.read(source, first, end)
            for record in zip(batch.offsets, batch.keys, batch.values, strict=True)
        ]

    def until_committed(self, partition: int, offset: int) -> None:
        """The broker makes a transaction's outcome known a moment after its answer."""
        until = time.monotonic() + 15
        while self.committed(partition) != offset:
            assert time.monotonic() < until, self.committed(partition)
            time.sleep(0.02)
        for source, (_, readable) in self.log.bounds([self.events]).items():
            while readable < self.end_of(source):
                assert time.monotonic() < until, source
                time.sleep(0.02)
                readable = self.log.bounds([self.events])[source][1]


def in_memory() -> Ground:
    log, group = MemoryLog({COMMANDS: PARTITIONS, EVENTS: PARTITIONS}), MemoryGroup()

    def committed(partition: int) -> int | None:
        return group.offsets.get(TopicPartition(COMMANDS, partition))

    def end_of(source: TopicPartition) -> int:
        return log.bounds([source.topic])[source][1]

    return Ground(MemoryTransactions(log, group), log, COMMANDS, EVENTS, group.join, committed, end_of)


class Members:
    """Members of a group on a broker, each of which joins when asked for."""

    def __init__(self, servers: str, group: str, topic: str) -> None:
        self.servers, self.group, self.topic = servers, group, topic
        self.consumers: list[Consumer] = []

    def join(self) -> Any:
        options = GroupOptions(self.servers, self.group, f"m{len(self.consumers)}", (self.topic,), session_timeout=6.0)
        told: list[Any] = []
        joining = Consumer(options.configuration())
        self.consumers.append(joining)
        joining.subscribe([self.topic], on_assign=lambda consumer, _: told.append(consumer.consumer_group_metadata()))
        until = time.monotonic() + 30
        while not told:
            assert time.monotonic() < until
            for consumer in self.consumers:
                consumer.poll(0.05)
        return told[0]

    def committed(self, partition: int) -> int | None:
        (found,) = self.consumers[-1].committed([KafkaPartition(self.topic, partition)], 10)
        return found.offset if found.offset >= 0 else None

    def close(self) -> None:
        for consumer in self.consumers:
            consumer.close()


def topics(servers: str) -> tuple[str, str]:
    names = f"c{uuid4().hex}", f"e{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": servers})
    for made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names]).values():
        made.result(10)
    return names


@pytest.fixture(params=["memory", "kafka"])
def ground(request: pytest.FixtureRequest, broker: Stack) -> Iterator[Ground]:
    if request.param == "memory":
        yield in_memory()
        return
    made = on_kafka(broker)
    yield made
    made.close()


def on_kafka(broker: Stack) -> Ground:
    servers = broker.settings.kafka
    commands, events = topics(servers)
    members = Members(servers, commands, commands)
    writer = KafkaTransactions(TransactionOptions(servers, commands))
    ends = KafkaEnds(servers)

    def leave() -> None:
        members.close()
        ends.close()

    return Ground(writer, KafkaLog(servers), commands, events, members.join, members.committed, ends.end_of, leave)


def out(ground: Ground, key: str, value: str, partition: int | None = 0) -> Outgoing:
    return Outgoing(ground.events, partition, key.encode(), value.encode())


def test_records_and_offsets_are_written_together(ground: Ground) -> None:
    member = ground.join()
    ground.writer.open()
    records = [out(ground, "a", "1"), out(ground, "b", "2", 1), out(ground, "a", "3")]
    offsets = ground.writer.write(
        records, {TopicPartition(ground.commands, 0): 7, TopicPartition(ground.commands, 1): 3}, member
    )
    ground.until_committed(0, 7)
    ground.until_committed(1, 3)
    assert ground.read(0) == [(offsets[0], b"a", b"1"), (offsets[2], b"a", b"3")]
    assert ground.read(1) == [(offsets[1], b"b", b"2")]
    assert ground.committed(2) is None


def test_offsets_alone_are_a_transaction_too(ground: Ground) -> None:
    assert ground.writer.write([], {TopicPartition(ground.commands, 0): 4}, ground.join()) == []
    ground.until_committed(0, 4)


def test_many_transactions_keep_their_order_and_tell_their_offsets(ground: Ground) -> None:
    member = ground.join()
    told: list[tuple[int, bytes, bytes]] = []
    for number in range(30):
        records = [out(ground, "k", f"{number}.{index}") for index in range(3)]
        offsets = ground.writer.write(records, {TopicPartition(ground.commands, 0): number + 1}, member)
        told += [(offset, record.key, record.value) for offset, record in zip(offsets, records, strict=True)]
    ground.until_committed(0, 30)
    assert ground.read(0) == told


def test_the_key_decides_where_no_partition_is_named(ground: Ground) -> None:
    keys = [f"device-{number}" for number in range(40)]
    ground.writer.write(
        [out(ground, key, key, None) for key in keys], {TopicPartition(ground.commands, 0): 1}, ground.join()
    )
    ground.until_committed(0, 1)
    for partition in range(PARTITIONS):
        expected = [key.encode() for key in keys if partition_of(key.encode(), PARTITIONS) == partition]
        assert [key for _, key, _ in ground.read(partition)] == expected


def test_a_member_of_an_earlier_generation_writes_nothing(ground: Ground) -> None:
    old = ground.join()
    ground.writer.write([out(ground, "a", "1")], {TopicPartition(ground.commands, 0): 1}, old)
    new = ground.join()
    for _ in range(4):
        with pytest.raises(Disowned):
            ground.writer.write([out(ground, "a", "zombie")], {TopicPartition(ground.commands, 0): 2}, old)
    ground.writer.write([out(ground, "a", "2")], {TopicPartition(ground.commands, 0): 2}, new)
    ground.until_committed(0, 2)
    assert [value for _, _, value in ground.read(0)] == [b"1", b"2"]


def test_what_no_topic_takes_is_a_fault_and_leaves_nothing(broker: Stack) -> None:
    ground = on_kafka(broker)
    member = ground.join()
    large = Outgoing(ground.events, 0, b"a", os.urandom(2_000_000))
    with pytest.raises(KafkaException):
        ground.writer.write([out(ground, "a", "1"), large], {TopicPartition(ground.commands, 0): 1}, member)
    ground.writer.write([out(ground, "a", "2")], {TopicPartition(ground.commands, 0): 2}, member)
    ground.until_committed(0, 2)
    assert [value for _, _, value in ground.read(0)] == [b"2"]
    ground.close()


def test_a_successor_ends_what_its_predecessor_left_open(broker: Stack) -> None:
    ground = on_kafka(broker)
    servers, source = broker.settings.kafka, TopicPartition(ground.events, 0)
    left = Producer(TransactionOptions(servers, ground.commands).configuration(1))
    left.init_transactions(10)
    left.begin_transaction()
    left.produce(ground.events, b"left", partition=0)
    assert left.flush(10) == 0
    assert ground.end_of(source) == 1
    assert ground.log.bounds([ground.events])[source][1] == 0, "committed records end before an open transaction"
    ground.writer.open()
    until = time.monotonic() + 5  # the time-out of transactions is 10 s
    while ground.log.bounds([ground.events])[source][1] < ground.end_of(source):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert ground.read(0) == []
    ground.close()


def test_a_broker_that_stands_still_is_away_or_leaves_it_to_the_log(broker: Stack) -> None:
    """Whichever it is, what was answered is there once, and the writer goes on."""
    ground = on_kafka(broker)
    member = ground.join()
    short = KafkaTransactions(TransactionOptions(broker.settings.kafka, f"{ground.commands}-s", timeout=2.0, producers=2))
    short.open()
    os.kill(broker.pid("broker"), signal.SIGSTOP)
    try:
        with pytest.raises((Away, Disowned)):
            short.write([out(ground, "a", "lost?")], {TopicPartition(ground.commands, 0): 1}, member)
    finally:
        os.kill(broker.pid("broker"), signal.SIGCONT)
    broker.wait_healthy("broker")
    until = time.monotonic() + 20
    while True:
        try:
            short.write([out(ground, "a", "there")], {TopicPartition(ground.commands, 0): 2}, member)
            break
        except (Away, Disowned):
            assert time.monotonic() < until
            member = ground.join()
    ground.until_committed(0, 2)
    values = [value for _, _, value in ground.read(0)]
    assert values.count(b"there") == 1
    assert values.count(b"lost?") <= 1
    short.close()
    ground.close()


def test_records_that_were_not_taken_in_time_are_not_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Slow:
        """A client whose queue does not drain."""

        def __init__(self, *_: Any, **__: Any) -> None: ...
        def flush(self, _: float) -> int:
            return 1

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: calls.append(name)

    monkeypatch.setattr("connectors.kafka_transactions.Producer", Slow)
    writer = KafkaTransactions(TransactionOptions("nowhere", "w"))
    with pytest.raises(Away):
        writer.write([Outgoing("e", 0, b"a", b"1")], {TopicPartition("c", 0): 1}, object())
    assert "abort_transaction" in calls
    assert "commit_transaction" not in calls
