"""Reading the log by position, outside any consumer group (port LogReader)."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.pending_batch import PendingBatch
from connectors.ports import Away
from connectors.whole_log import records_of
from schemas.archive.records import Records
from schemas.log import Batch, TopicPartition

log = logging.getLogger(__name__)
T = TypeVar("T")
Piece = tuple[list[Message], int, int]
"""Data messages of a partition, and the offsets [from, to) of which they are all."""

CONSUME_SECONDS = 0.05

AT_ONCE = 1_000
"""Messages asked of the client at once. Their memory is taken and given back in turn, so that of few of them it stays in the
processor's cache: of 20,000 at once each costs one and a half times as much."""

# The broker, or the way to it, is away: waiting helps. Everything else is a wrong call or a wrong log.
AWAY = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.FENCED_LEADER_EPOCH,  # a broker has come back: the client knows its leader of before
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.BROKER_NOT_AVAILABLE,
    }
)

# A broker that was frozen is thrown out of its cluster, and for a moment after its return tells of no topic. The client then
# knows of no partition, though a moment ago it did.
NOT_TOLD_OF = frozenset({KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART})


def answer(call: Callable[[], T]) -> T:
    """What a call of the client returns; a broker that does not answer, or does not tell of a partition, is `Away`."""
    try:
        return call()
    except KafkaException as failure:
        error = failure.args[0]
        if error.code() in AWAY | NOT_TOLD_OF or error.retriable():
            raise Away(error.str()) from failure
        raise


class KafkaLog:
    """A LogReader on a Kafka cluster. One consumer, so one read at a time."""

    def __init__(
        self, bootstrap_servers: str, timeout: float = 10.0, batch_records: int = 20_000, queued_kilobytes: int = 65_536
    ) -> None:
        """`queued_kilobytes` bounds what is fetched ahead of the reader, for each partition."""
        self._servers, self._timeout, self._batch_records = bootstrap_servers, timeout, batch_records
        self._options = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"fleetlog-log-{uuid4()}",  # librdkafka wants one; nothing is ever committed
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            # The default of one second stalls a fast reader between fetches.
            "fetch.queue.backoff.ms": 10,
            # A read waits for the fetch of the one before it to come back empty; the default is half a second.
            "fetch.wait.max.ms": 20,
            "queued.max.messages.kbytes": queued_kilobytes,
        }
        self._consumer: Consumer | None = None

    @contextmanager
    def _client(self) -> Iterator[Consumer]:
        """The consumer, for one question or one reading. One that did not answer gives way to another: librdkafka may stay
        disconnected for good from a broker that stood still, and went on (its issue 5301)."""
        consumer = self._consumer = self._consumer or Consumer(self._options, logger=log)
        try:
            yield consumer
        except Away:
            if consumer is self._consumer:
                self._consumer = None  # it ends when nothing holds it: a reading may be under way beside a question
            raise

    def bounds(self, topics: Iterable[str]) -> dict[TopicPartition, tuple[int, int]]:
        return {source: self._bounds(source) for topic in topics for source in self._partitions(topic)}

    def _partitions(self, topic: str) -> list[TopicPartition]:
        try:
            with self._client() as consumer:
                described = answer(lambda: consumer.list_topics(topic, self._timeout)).topics[topic]
        except Away as away:
            raise Away(f"the broker at {self._servers} does not answer: {away}") from away
        if described.error is not None:
            raise Away(f"topic {topic}: {described.error.str()}")
        return [TopicPartition(topic, partition) for partition in sorted(described.partitions)]

    def _bounds(self, source: TopicPartition) -> tuple[int, int]:
        with self._client() as consumer:
            low, high = answer(lambda: consumer.get_watermark_offsets(KafkaPartition(*source), self._timeout))
        return int(low), int(high)

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        pending: PendingBatch | None = None
        for messages, read_from, read_to in self._pieces(source, start, stop, AT_ONCE):
            if pending is None:  # one without records is false
                pending = PendingBatch(read_from=read_from)
            pending.extend(messages)
            pending.read_to = read_to
            # Fewer than were asked for: the next ones have to come first, and nobody should wait for those.
            if len(messages) < AT_ONCE or len(pending) >= self._batch_records:
                yield pending.batch(source)
                pending = None
        if pending is not None:
            yield pending.batch(source)

    def records(self, source: TopicPartition, start: int, stop: int) -> Iterator[Records]:
        """As `read`, with headers and timestamps (port WholeLog)."""
        for messages, read_from, read_to in self._pieces(source, start, stop, self._batch_records):
            yield records_of(source, messages, read_from, read_to)

    def offset_at(self, source: TopicPartition, milliseconds: int) -> int:
        """The offset of the first record whose timestamp is not earlier; the log's end where there is none."""
        asked = [KafkaPartition(*source, milliseconds)]
        with self._client() as consumer:
            (found,) = answer(lambda: consumer.offsets_for_times(asked, self._timeout))
        if found.error is not None:
            raise Away(f"{source}: {found.error.str()}")
        return int(found.offset) if found.offset >= 0 else self._bounds(source)[1]

    def _pieces(self, source: TopicPartition, start: int, stop: int, at_once: int) -> Iterator[Piece]:
        if start >= stop:
            return
        low, high = self._bounds(source)
        if not low <= start <= high:
            raise ValueError(f"{source}: the log holds the offsets from {low} to {high}, it can't be read from {start}")
        with self._client() as consumer:
            consumer.assign([KafkaPartition(source.topic, source.partition, start)])
            try:
                yield from self._batches(consumer, source, (start, stop), min(at_once, self._batch_records))
            finally:
                consumer.unassign()

    def _batches(self, consumer: Consumer, source: TopicPartition, span: tuple[int, int], at_once: int) -> Iterator[Piece]:
        following, stop = span
        while True:
            messages = self._consumed(consumer, source, min(at_once, stop - following))
            wanted: list[Message] = []
            end: int | None = None
            if not any(map(Message.error, messages)):  # nearly always: a third of a microsecond a record is saved
                wanted, messages = messages, []
            for message in messages:
                error = message.error()
                if error is None:
                    wanted.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    end = int(message.offset())  # behind control records; an open transaction begins here, or nothing
                elif error.code() in AWAY:
                    raise Away(f"{source}: {error.str()}")
                else:
                    raise ValueError(f"{source}: {error.str()}")
            read_to = wanted[-1].offset() + 1 if wanted else following
            if end is not None:
                read_to = max(read_to, end)
            if read_to > stop:  # holes lead beyond it
                wanted = [message for message in wanted if message.offset() < stop]
            read_to = min(read_to, stop)
            if read_to > following:
                yield wanted, following, read_to
                following = read_to
            if end is not None or following >= stop:
                return

    def _consumed(self, consumer: Consumer, source: TopicPartition, most: int) -> list[Message]:
        """What has come of the records, in short waits: `consume` comes back early for `most` messages only, so that one
        long wait would sit out its time at the log's end, and where a range holds control records."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            messages: list[Message] = answer(lambda: consumer.consume(most, CONSUME_SECONDS))
            if messages:
                return messages
        raise Away(f"{source}: no record came for {self._timeout:g} s")

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
