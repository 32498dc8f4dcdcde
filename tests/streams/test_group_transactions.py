"""The group reader on topics that transactions write to: every committed record once, none of an aborted transaction, and
positions that come to the very end of the log, behind its control records."""

import random
import threading
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka_log import KafkaLog
from infra.stack.harness import Stack
from schemas.log import TopicPartition
from tests.shared_stack import SharedStack
from tests.streams.members import PARTITIONS, Member, Shared

pytestmark = pytest.mark.stack
TRANSACTIONS = 60
SEED = 20_261_121


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path_factory.mktemp("broker"), only=("broker",)) as running:
        yield running


@pytest.fixture
def topic(stack: Stack, request: pytest.FixtureRequest) -> str:
    name = request.node.name[:100]
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(10)
    return name


def transactional(stack: Stack, name: str) -> Producer:
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "transactional.id": name, "linger.ms": 0})
    producer.init_transactions(30)
    return producer


def feed(stack: Stack, topic: str, expected: dict[TopicPartition, list[bytes]]) -> None:
    """Transactions of a few records in any partitions, a third of them aborted; `expected` is what is committed."""
    chance, producer, number = random.Random(SEED), transactional(stack, topic), 0
    for _ in range(TRANSACTIONS):
        producer.begin_transaction()
        written = []
        for _ in range(chance.randrange(1, 30)):
            written.append((TopicPartition(topic, chance.randrange(PARTITIONS)), str(number).encode()))
            producer.produce(topic, written[-1][1], partition=written[-1][0].partition)
            number += 1
        if chance.random() < 0.33:
            assert producer.flush(30) == 0  # or the broker would never see them
            producer.abort_transaction(30)
            continue
        producer.commit_transaction(30)
        for source, value in written:
            expected.setdefault(source, []).append(value)


def at_the_end(log: KafkaLog, topic: str, shared: Shared, seconds: float = 30.0) -> None:
    """Wait until the positions are the ends of the partitions, exactly."""
    until = time.monotonic() + seconds
    while (ends := {source: end for source, (_, end) in log.bounds([topic]).items()}) != shared.positions:
        assert time.monotonic() < until, f"{shared.positions} of {ends}"
        time.sleep(0.05)


def test_committed_records_come_once_and_positions_to_the_end(stack: Stack, topic: str) -> None:
    expected: dict[TopicPartition, list[bytes]] = {}
    shared = Shared()
    feeding = threading.Thread(target=feed, args=(stack, topic, expected))
    feeding.start()
    first = Member(stack, topic, "a", shared, slots=1)
    time.sleep(1.0)
    second = Member(stack, topic, "b", shared, slots=1)
    feeding.join()
    second.reader.stop()
    log = KafkaLog(stack.settings.kafka)
    at_the_end(log, topic, shared)
    assert shared.folded == expected
    until = time.monotonic() + 30
    while first.reader.ends() != shared.positions:  # the second's partitions come to it when its session has ended
        assert time.monotonic() < until, f"{first.reader.ends()} of {shared.positions}"
        time.sleep(0.05)
    first.reader.stop()
    for source, (low, end) in log.bounds([topic]).items():
        batches = list(log.read(source, low, end))
        assert [value for batch in batches for value in batch.values] == expected[source]
        assert batches[-1].following == end > batches[-1].last + 1, "the log ends with a control record"
    log.close()
    assert first.lost == second.lost == []
    assert first.reader.failure is second.reader.failure is None


def test_an_open_transaction_is_no_lag_and_holds_up_what_comes_behind_it(stack: Stack, topic: str) -> None:
    shared, source = Shared(), TopicPartition(topic, 0)
    plain, opened = Producer({"bootstrap.servers": stack.settings.kafka}), transactional(stack, topic)
    plain.produce(topic, b"before", partition=0)
    assert plain.flush(10) == 0
    opened.begin_transaction()
    opened.produce(topic, b"open", partition=0)
    assert opened.flush(10) == 0
    plain.produce(topic, b"behind", partition=0)
    assert plain.flush(10) == 0
    member, log = Member(stack, topic, "a", shared, slots=1), KafkaLog(stack.settings.kafka)
    shared.wait_for(1)
    until = time.monotonic() + 10
    while member.reader.ends()[source] != 1:  # it looks once it has stood for a moment
        assert time.monotonic() < until
        time.sleep(0.05)
    assert shared.folded == {source: [b"before"]}
    assert log.bounds([topic])[source] == (0, 1)
    assert member.reader.ends()[source] == shared.positions[source] == 1
    opened.commit_transaction(10)
    shared.wait_for(3)
    assert shared.folded == {source: [b"before", b"open", b"behind"]}
    until = time.monotonic() + 10
    while not shared.positions[source] == member.reader.ends()[source] == log.bounds([topic])[source][1] == 4:
        assert time.monotonic() < until
        time.sleep(0.05)
    member.reader.stop()
    log.close()


def test_nothing_is_lost_by_a_pause_at_an_end_of_control_records(stack: Stack, topic: str) -> None:
    """librdkafka goes on one offset too late after a pause at a partition's end, if it tells of that end."""
    producer, shared = transactional(stack, topic), Shared()

    def write(*values: bytes) -> None:
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, partition=int(value) % PARTITIONS)
        producer.commit_transaction(10)

    member, log = Member(stack, topic, "a", shared, slots=1), KafkaLog(stack.settings.kafka)
    write(b"0", b"1", b"2", b"3")
    at_the_end(log, topic, shared)
    for value in (b"4", b"9", b"14"):
        member.hold.clear()
        write(value)
        time.sleep(0.5)
        write(str(int(value) + 1).encode())  # its slot is taken: all partitions are paused
        time.sleep(1.5)
        member.hold.set()
        at_the_end(log, topic, shared)
    assert sorted(int(value or b"") for values in shared.folded.values() for value in values) == [
        0, 1, 2, 3, 4, 5, 9, 10, 14, 15,
    ]  # fmt: skip
    assert member.lost == []
    member.reader.stop()
    log.close()


def test_a_position_before_control_records_goes_on_behind_them(stack: Stack, topic: str) -> None:
    """As an earlier version left it, or a crash between two writes."""
    producer, source = transactional(stack, topic), TopicPartition(topic, 0)
    for value in (b"one", b"two"):
        producer.begin_transaction()
        producer.produce(topic, value, partition=0)
        producer.commit_transaction(10)
    shared = Shared()
    shared.positions = {source: 1}
    member = Member(stack, topic, "a", shared, slots=1)
    until = time.monotonic() + 20
    while shared.positions[source] != 4:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert shared.folded == {source: [b"two"]}
    assert shared.gaps == []
    member.reader.stop()


def test_an_end_that_was_found_and_not_stored_is_found_again(stack: Stack, topic: str) -> None:
    """As when a member loses its partitions with the batch that told the end, and gets them back."""
    producer, source = transactional(stack, topic), TopicPartition(topic, 0)
    producer.begin_transaction()
    producer.produce(topic, b"one", partition=0)
    producer.commit_transaction(10)
    shared = Shared()
    member = Member(stack, topic, "a", shared, slots=1)
    shared.wait_for(1)
    for _ in range(2):
        until = time.monotonic() + 15
        while shared.positions[source] != 2:
            assert time.monotonic() < until, "the control record behind the last one was not passed"
            time.sleep(0.05)
        shared.positions[source] = 1
        member.reader.reread([source])
    assert shared.folded == {source: [b"one"]}
    member.reader.stop()
