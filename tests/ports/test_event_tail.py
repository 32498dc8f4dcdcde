"""The port EventTail: in memory, and on a broker."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.event_tail import Tailed
from connectors.kafka_tail import KafkaTail
from connectors.memory import MemoryLog
from connectors.memory_tail import MemoryTail
from connectors.ports import Away
from infra.stack.harness import Stack, running_stack
from schemas.log import TopicPartition
from tests.ports.event_tails import Followed, Seen


def in_memory() -> Followed:
    log = MemoryLog({"events": 2})

    def away(value: bool) -> Callable[[], None]:
        return lambda: setattr(log, "away", value)

    def write(source: TopicPartition, value: bytes) -> None:
        log.append(source, None, value)

    def aborts(source: TopicPartition, value: bytes) -> None:
        log.skip(source, 2)

    return Followed("events", lambda: MemoryTail(log), write, away(True), away(False), aborts)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("tail"), only=("broker",)) as running:
        yield running


def on_a_broker(stack: Stack) -> Followed:
    topic = f"events-{time.time_ns()}"
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
    for made in admin.create_topics([NewTopic(topic, 2, 1)]).values():
        made.result(20)
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "linger.ms": 0})

    def write(source: TopicPartition, value: bytes) -> None:
        producer.produce(source.topic, value, partition=source.partition)
        assert producer.flush(30) == 0

    def aborts(source: TopicPartition, value: bytes) -> None:
        writer = Producer({"bootstrap.servers": stack.settings.kafka, "transactional.id": f"{topic}-writer"})
        writer.init_transactions(30)
        writer.begin_transaction()
        writer.produce(source.topic, value, partition=source.partition)
        writer.flush(30)
        writer.abort_transaction(30)

    def lose() -> None:
        stack.kill("broker", signal.SIGKILL)

    def find() -> None:
        stack.wait_healthy("broker", 60)

    return Followed(topic, lambda: KafkaTail(stack.settings.kafka), write, lose, find, aborts)


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.stack)])
def followed(request: pytest.FixtureRequest) -> Followed:
    return in_memory() if request.param == "memory" else on_a_broker(request.getfixturevalue("stack"))


def until(done: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_comes_is_given_in_order_and_what_was_there_is_not(followed: Followed) -> None:
    first, second = TopicPartition(followed.topic, 0), TopicPartition(followed.topic, 1)
    followed.write(first, b"before")
    tail, seen = followed.make(), Seen()
    assert tail.away
    tail.start([followed.topic], seen.take)
    until(lambda: not tail.away)
    for number in range(20):
        followed.write((first, second)[number % 2], b"%d" % number)
    until(lambda: len(seen.records) == 20)
    tail.close()
    for source, parity in ((first, 0), (second, 1)):
        own = [record for record in seen.records if record.source == source]
        assert [record.value for record in own] == [b"%d" % number for number in range(parity, 20, 2)]
        assert [record.offset for record in own] == [record.offset for record in sorted(own, key=lambda one: one.offset)]


def test_what_was_never_committed_is_not_given(followed: Followed) -> None:
    source = TopicPartition(followed.topic, 0)
    tail, seen = followed.make(), Seen()
    tail.start([followed.topic], seen.take)
    until(lambda: not tail.away)
    assert followed.aborts is not None
    followed.aborts(source, b"never")
    followed.write(source, b"ever")
    until(lambda: bool(seen.records))
    tail.close()
    assert seen.values == [b"ever"]


def test_what_can_not_be_taken_is_given_again(followed: Followed) -> None:
    source = TopicPartition(followed.topic, 0)
    tail, seen, refusals = followed.make(), Seen(), [Away("not now"), Away("not yet")]

    def take(records: Sequence[Tailed]) -> None:
        if refusals:
            raise refusals.pop()
        seen.take(records)

    tail.start([followed.topic], take)
    until(lambda: not tail.away)
    followed.write(source, b"1")
    until(lambda: bool(seen.records))
    until(lambda: not tail.away)
    followed.write(source, b"2")
    until(lambda: len(seen.records) == 2)
    tail.close()
    assert seen.values == [b"1", b"2"]


def test_a_broker_that_went_away_has_lost_nothing(followed: Followed) -> None:
    source = TopicPartition(followed.topic, 1)
    tail, seen = followed.make(), Seen()
    tail.start([followed.topic], seen.take)
    until(lambda: not tail.away)
    followed.write(source, b"before")
    until(lambda: len(seen.records) == 1)
    followed.lose()
    until(lambda: bool(tail.away))
    followed.find()
    followed.write(source, b"after")
    until(lambda: len(seen.records) == 2, 60)
    until(lambda: not tail.away)
    tail.close()
    assert seen.values == [b"before", b"after"]


@pytest.mark.stack
def test_a_record_is_given_soon(stack: Stack) -> None:
    followed = on_a_broker(stack)
    source = TopicPartition(followed.topic, 0)
    tail, seen = followed.make(), Seen()
    tail.start([followed.topic], seen.take)
    until(lambda: not tail.away)
    took = []
    for number in range(30):
        started = time.perf_counter()
        followed.write(source, b"x")
        until(lambda wanted=number + 1: len(seen.records) == wanted)  # type: ignore[misc]
        took.append(time.perf_counter() - started)
    tail.close()
    assert sorted(took)[len(took) // 2] < 0.1
