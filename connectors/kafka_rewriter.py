"""Writing records back to an empty partition of a Kafka cluster, each to the offset that it had (schemas.archive.rewriting).

Ordinary producers do it. What they are told of each record's offset is compared with the one wanted; nobody else may write.
"""

import logging
import time
from collections.abc import Callable
from types import TracebackType

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka_ends import KafkaEnds
from connectors.kafka_log import AWAY
from connectors.kafka_retention import KafkaRetention
from connectors.ports import Away
from schemas.archive.records import Records
from schemas.archive.rewriting import Aborted, Committed, Forgotten, Plain, Step
from schemas.log import TopicPartition

log = logging.getLogger(__name__)
SECONDS = 60.0


class Misplaced(Exception):
    """A record came to another offset than the one that it had: somebody else writes, or the partition was not empty."""


class KafkaRewriter:
    """Of one partition; use it with `with`. Every step may raise Away, Misplaced, KafkaException."""

    def __init__(self, bootstrap_servers: str, source: TopicPartition, seconds: float = SECONDS) -> None:
        self._servers, self._source, self._seconds = bootstrap_servers, source, seconds
        self._plain: Producer | None = None
        self._transactional: Producer | None = None
        self._ends: KafkaEnds | None = None
        self._at = 0
        self._marker_awaited = False
        self._wrong: list[str] = []
        self._failed: list[KafkaError] = []

    def __enter__(self) -> "KafkaRewriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for producer in (self._plain, self._transactional):
            if producer is not None:
                producer.purge()
                producer.flush(1)
        if self._ends is not None:
            self._ends.close()

    def take(self, step: Step) -> None:
        """Take a step; returns when the broker has it."""
        match step:
            case Plain(records):
                self._await_marker()
                self._produce(self._outside(), records)
                self._flushed(self._outside())
            case Committed(records):
                self._transaction(lambda producer: self._produce(producer, records), commit=True)
            case Aborted(count):
                self._transaction(lambda producer: self._fill(producer, count), commit=False)
            case Forgotten():
                self._await_marker()
                self._fill(self._outside(), 1)
                self._flushed(self._outside())
                KafkaRetention(self._servers).delete({self._source: 1})

    def _outside(self) -> Producer:
        if self._plain is None:
            self._plain = Producer(self._configuration() | {"enable.idempotence": True}, logger=log)
        return self._plain

    def _within(self) -> Producer:
        if self._transactional is None:
            name = {"transactional.id": f"fleetlog.restore.{self._source}"}
            self._transactional = Producer(self._configuration() | name, logger=log)
            self._answered(lambda producer: producer.init_transactions(self._seconds), self._transactional)
        return self._transactional

    def _configuration(self) -> dict[str, object]:
        return {
            "bootstrap.servers": self._servers,
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.max.bytes": 20_000_000,
            "transaction.timeout.ms": int(self._seconds * 1000),
            "topic.metadata.propagation.max.ms": 5000,
        }

    def _transaction(self, write: Callable[[Producer], None], commit: bool) -> None:
        producer = self._within()
        self._answered(lambda one: one.begin_transaction(), producer)
        write(producer)
        self._flushed(producer)  # an abort throws away what was not yet sent, and that would have no offset
        if commit:
            self._answered(lambda one: one.commit_transaction(self._seconds), producer)
        else:
            self._answered(lambda one: one.abort_transaction(self._seconds), producer)
        self._at += 1
        self._marker_awaited = True

    def _await_marker(self) -> None:
        """The end of a transaction is answered before its marker is in the partition, and only a producer of transactions
        is made to wait for it: another one's records would take its place."""
        if not self._marker_awaited:
            return
        if self._ends is None:
            self._ends = KafkaEnds(self._servers)
        until = time.monotonic() + self._seconds
        while (end := self._ends.end_of(self._source)) < self._at:
            if time.monotonic() > until:
                raise Away(f"{self._source}: ends at {end}, and not at {self._at}, behind a transaction's marker")
            time.sleep(0.005)
        self._marker_awaited = False

    def _produce(self, producer: Producer, records: Records) -> None:
        columns = records.offsets, records.timestamps, records.keys, records.headers, records.values
        for offset, timestamp, key, headers, value in zip(*columns, strict=True):
            self._one(producer, offset, {"key": key, "value": value, "headers": list(headers), "timestamp": timestamp})

    def _fill(self, producer: Producer, count: int) -> None:
        for offset in range(self._at, self._at + count):
            self._one(producer, offset, {"value": b""})

    def _one(self, producer: Producer, offset: int, record: dict[str, object]) -> None:
        if offset != self._at:
            raise Misplaced(f"{self._source}: offset {self._at} comes next, not {offset}")
        self._at += 1

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failed.append(error)
            elif message.offset() != offset:
                self._wrong.append(f"{self._source}: the record of offset {offset} came to offset {message.offset()}")

        if record.get("timestamp") == -1:  # the log had none
            del record["timestamp"]
        while True:
            try:
                producer.produce(self._source.topic, partition=self._source.partition, on_delivery=delivered, **record)
                return
            except BufferError:  # the queue is full: let it drain
                producer.poll(0.05)

    def _flushed(self, producer: Producer) -> None:
        until = time.monotonic() + self._seconds
        while producer.flush(1.0) and time.monotonic() < until and not self._failed:
            continue
        if len(producer):
            raise Away(f"{self._source}: the broker at {self._servers} does not acknowledge")
        for error in self._failed:
            if error.code() in AWAY or error.retriable():
                raise Away(f"{self._source}: {error.str()}")
            raise KafkaException(error)
        for wrong in self._wrong:
            raise Misplaced(wrong)

    def _answered(self, call: Callable[[Producer], object], producer: Producer) -> None:
        """Make a call again while the client says that this may help."""
        until = time.monotonic() + self._seconds
        while True:
            try:
                call(producer)
                return
            except KafkaException as failure:
                error = failure.args[0]
                if not error.retriable():
                    raise
                if time.monotonic() > until:
                    raise Away(f"{self._source}: {error.str()}") from failure
                time.sleep(0.02)
