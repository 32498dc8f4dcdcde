"""Deciders on a log in memory: what the workers do, without a broker.

    harness = Harness({COMMANDS: codec, EVENTS: codec}, {COMMANDS: 6, EVENTS: 6})
    harness.add(aggregate_decider(REGISTRATION, harness.log, harness.codecs[EVENTS]))
    harness.send(COMMANDS, "sn-1", command)
    harness.run()                       # until nothing is left to be decided, follow-ups too
    harness.records(EVENTS)             # [(partition, offset, key, message), ...]

Or `with harness.running(): ...`, which decides in a thread as commands come.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from connectors.memory import MemoryDeadLetters, MemoryLog
from connectors.memory_transactions import MemoryGroup, MemoryTransactions
from connectors.snapshots import MemorySnapshots
from schemas.log import Batch, TopicPartition
from schemas.messages import Message, Messages
from schemas.partitioner import partition_of
from streams.decider import Decider, DeciderRunner
from streams.limits import Limit
from streams.restoring import Restorer

LIMIT = Limit(run=100, ratio=0.5, window=1_000)


class Record(NamedTuple):
    partition: int
    offset: int
    key: str
    message: Message


class Running:
    """One decider as one member of its own group."""

    def __init__(self, harness: "Harness", decider: Decider) -> None:
        self.group = MemoryGroup()
        self.transactions = MemoryTransactions(harness.log, self.group, harness.lock)
        restorer = Restorer(harness.log, harness.codecs[decider.events_topic], harness.end_of, harness.snapshots)
        self.runner = DeciderRunner(decider, harness.codecs, self.transactions, restorer, harness.dead_letters, LIMIT)
        self.log = harness.log
        self.sources = sorted(harness.log.bounds([decider.commands_topic]))
        self.restart()

    def restart(self) -> None:
        """Join the group anew: positions and states come from the log."""
        self.member = self.group.join()
        self.runner.start(self.sources, self.group.committed)

    def step(self) -> bool:
        """Decide all that is there; False if there is nothing."""
        bounds = self.log.bounds([self.runner.decider.commands_topic])
        batches: list[Batch] = []
        for source in self.sources:
            position = self.runner.position(source)
            assert position is not None
            batches += list(self.log.read(source, position, bounds[source][1]))[:1]
        if not batches:
            return False
        self.runner.handle(batches, self.member)
        return True


class Harness:
    """A log in memory with deciders on it. `codecs` and `partitions` by topic, for all topics that are written."""

    def __init__(self, codecs: Mapping[str, Messages], partitions: Mapping[str, int]) -> None:
        self.codecs, self.lock = codecs, threading.Lock()
        self.log = MemoryLog(partitions)
        self.snapshots, self.dead_letters = MemorySnapshots(), MemoryDeadLetters()
        self.deciders: list[Running] = []
        self.failure: BaseException | None = None

    def add(self, decider: Decider) -> Running:
        self.deciders.append(Running(self, decider))
        return self.deciders[-1]

    def end_of(self, source: TopicPartition) -> int:
        return self.log.bounds([source.topic])[source][1]

    def send(self, topic: str, key: str, message: Message) -> TopicPartition:
        """Write a record as a producer would; returns the partition."""
        return self.send_raw(topic, key.encode(), self.codecs[topic].encode(message))

    def send_raw(self, topic: str, key: bytes, value: bytes | None) -> TopicPartition:
        source = TopicPartition(topic, partition_of(key, len(self.log.bounds([topic]))))
        with self.lock:
            self.log.append(source, key, value)
        return source

    def run(self) -> None:
        """Decide until nothing is left."""
        while any(running.step() for running in self.deciders):
            pass

    @contextmanager
    def running(self) -> Iterator[None]:
        """Decide in a thread until the end of the block. What leaves a decider is raised there."""
        stop = threading.Event()

        def decide() -> None:
            try:
                while not stop.is_set():
                    self.run()
                    time.sleep(0.001)
            except BaseException as error:
                self.failure = error
                raise

        thread = threading.Thread(target=decide, name="deciders", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if self.failure is not None:
            raise self.failure

    def records(self, topic: str) -> list[Record]:
        """All records of a topic whose record types are known, by partition and offset."""
        found = []
        for source, (first, end) in sorted(self.log.bounds([topic]).items()):
            for batch in self.log.read(source, first, end):
                for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
                    message = self.codecs[topic].decode(value)
                    if message is not None:
                        found.append(Record(source.partition, offset, (key or b"").decode(), message))
        return found
