"""The contract of Inputs, on the in-memory version and on Kafka."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.inputs import Inputs, MemoryInputs
from connectors.kafka_inputs import KafkaInputs
from connectors.memory import MemoryLog
from connectors.ports import Away
from infra.stack.harness import Stack
from schemas.log import TopicPartition
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def broker(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path_factory.mktemp("inputs"), only=("broker",)) as running:
        yield running


@dataclass
class Read:
    """Inputs, a topic of two partitions, and how records come into it."""

    inputs: Inputs
    topic: str
    write: Callable[[int, list[bytes]], None]

    def source(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic, partition)

    def behind(self, sources: list[TopicPartition]) -> set[TopicPartition]:
        """A broker that was just told of a topic may say that it leads none of its partitions."""
        until = time.monotonic() + 20
        while True:
            try:
                return self.inputs.behind(sources)
            except Away:
                assert time.monotonic() < until
                time.sleep(0.1)

    def taken(self, count: int) -> dict[int, list[tuple[int, bytes | None]]]:
        """What comes, by partition, until there are `count` records. Batches follow each other without a break."""
        found: dict[int, list[tuple[int, bytes | None]]] = {0: [], 1: []}
        ends: dict[TopicPartition, int] = {}
        until = time.monotonic() + 20
        while sum(map(len, found.values())) < count:
            assert time.monotonic() < until, f"{found} of {count}"
            for batch in self.inputs.take(0.1):
                assert ends.get(batch.source, batch.begins) == batch.begins
                ends[batch.source] = batch.following
                found[batch.source.partition] += zip(batch.offsets, batch.values, strict=True)
        return found


@pytest.fixture(params=["memory", "kafka"])
def read(request: pytest.FixtureRequest) -> Iterator[Read]:
    topic = f"inputs-{uuid4()}"
    if request.param == "memory":
        log = MemoryLog({topic: 2})

        def write(partition: int, values: list[bytes]) -> None:
            for value in values:
                log.append(TopicPartition(topic, partition), b"k", value)

        yield Read(MemoryInputs(log, 3), topic, write)
        return
    settings = request.getfixturevalue("broker").settings
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(20)
    # Idempotent: else a record that the new partition's leader refuses at first comes behind the next one.
    producer = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 0, "enable.idempotence": True})

    def produce(partition: int, values: list[bytes]) -> None:
        for value in values:
            producer.produce(topic, value, b"k", partition)
        assert producer.flush(20) == 0

    inputs = KafkaInputs(settings.kafka, 3)
    yield Read(inputs, topic, produce)
    inputs.close()


def test_what_is_there_and_what_comes_is_taken_in_order(read: Read) -> None:
    read.write(0, [b"a", b"b", b"c", b"d"])
    read.inputs.assign({read.source(0): 1, read.source(1): 0})
    assert read.taken(3) == {0: [(1, b"b"), (2, b"c"), (3, b"d")], 1: []}
    read.write(1, [b"e"])
    assert read.taken(1) == {0: [], 1: [(0, b"e")]}


def test_another_assignment_takes_the_place_of_the_one_before(read: Read) -> None:
    read.write(0, [b"a", b"b"])
    read.write(1, [b"c", b"d"])
    read.inputs.assign({read.source(0): 0})
    assert read.taken(2) == {0: [(0, b"a"), (1, b"b")], 1: []}
    read.inputs.assign({read.source(0): 1, read.source(1): 1})
    assert read.taken(2) == {0: [(1, b"b")], 1: [(1, b"d")]}


def test_it_is_known_what_was_not_taken_yet(read: Read) -> None:
    sources = [read.source(0), read.source(1)]
    read.inputs.assign(dict.fromkeys(sources, 0))
    assert read.behind(sources) == set()
    read.write(1, [b"a"])
    assert read.behind(sources) == {read.source(1)}
    assert read.behind([read.source(0)]) == set()
    read.taken(1)
    assert read.behind(sources) == set()
