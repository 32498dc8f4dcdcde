"""Members of a group that fold into shared positions, and what feeds them."""

import threading
import time
from collections.abc import Iterable

from confluent_kafka import Producer

from connectors.group_options import GroupOptions
from connectors.kafka_group import GroupReader
from connectors.ports import Away
from infra.stack.harness import Stack
from schemas.log import Batch, TopicPartition

PARTITIONS = 4


def produce(stack: Stack, topic: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "linger.ms": 5, "enable.idempotence": True})
    for number in range(count):
        producer.produce(topic, str(number).encode(), str(number).encode(), partition=number % PARTITIONS)
        producer.poll(0)
    assert producer.flush(30) == 0


def slow_feed(stack: Stack, topic: str, count: int, first: int = 0) -> None:
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "linger.ms": 5, "enable.idempotence": True})
    for number in range(first, first + count):
        producer.produce(topic, str(number).encode(), partition=number % PARTITIONS)
        if number % 20 == 0:
            producer.poll(0)
            time.sleep(0.02)
    assert producer.flush(30) == 0


class Member:
    """A reader that folds batches into a shared table of positions, as a view's agents do."""

    def __init__(self, stack: Stack, topic: str, name: str, shared: "Shared", seconds: float = 0.05, slots: int = 2) -> None:
        options = GroupOptions(
            stack.settings.kafka,
            topic,
            name,
            (topic,),
            records=50,
            seconds=seconds,
            slots=slots,
            session_timeout=6.0,
            to_the_end=True,
        )
        self.shared, self.name = shared, name
        self.hold = threading.Event()
        self.hold.set()
        self.epochs: set[int] = set()
        self.lost: list[tuple[TopicPartition, Exception]] = []
        self.reader = GroupReader(
            options, shared.start_of, self._deliver, lambda source, error: self.lost.append((source, error))
        )
        self.reader.start()

    def _deliver(self, batch: Batch) -> None:
        threading.Thread(target=self._fold, args=(batch,), daemon=True).start()

    def _fold(self, batch: Batch) -> None:
        self.hold.wait(60)
        if self.reader.current(batch):
            self.epochs.add(batch.epoch)
            self.shared.fold(batch)
            self.reader.folded(batch.source, batch.following)
        self.reader.release()


class Shared:
    """Positions and what was folded under them, moved in one step."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.positions: dict[TopicPartition, int] = {}
        self.folded: dict[TopicPartition, list[bytes | None]] = {}
        self.away = False
        self.gaps: list[str] = []

    def start_of(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        if self.away:
            raise Away("told so")
        with self.lock:
            return {source: self.positions.get(source, 0) for source in sources}

    def fold(self, batch: Batch) -> None:
        with self.lock:
            position = self.positions.get(batch.source, 0)
            fresh = batch.since(position)
            if fresh is None:
                return
            if fresh.begins != position:
                # With threads in place of one agent, a later batch may come first: it is a redelivery to come.
                self.gaps.append(f"{batch.source} {position} {fresh.begins}")
                return
            self.folded.setdefault(batch.source, []).extend(fresh.values)
            self.positions[batch.source] = fresh.following

    def wait_for(self, count: int, seconds: float = 40.0) -> None:
        until = time.monotonic() + seconds
        while sum(len(values) for values in self.folded.values()) < count:
            assert time.monotonic() < until, f"folded {sum(len(v) for v in self.folded.values())} of {count}"
            time.sleep(0.02)

    def check(self, topic: str, count: int) -> None:
        for partition in range(PARTITIONS):
            expected = [str(number).encode() for number in range(partition, count, PARTITIONS)]
            assert self.folded[TopicPartition(topic, partition)] == expected
