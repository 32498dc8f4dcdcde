"""Pages of a partition, read by position from a Kafka cluster (port PageReader)."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from typing import TypeVar
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.kafka_questions import NO_ANSWER, NO_SUCH
from connectors.pages import EARLIEST, LATEST, LogRecord, NotThere, OutOfRange, Page
from connectors.ports import Away, Busy
from schemas.log import TopicPartition

log = logging.getLogger(__name__)
T = TypeVar("T")

READERS = 3  # consumers, a thread for each
MOST_AT_ONCE = 100  # questions under way
CONSUME_SECONDS = 0.02
FIRST_STEP, MOST_STEP = 8, 2_000  # records that are taken at once: few, until it is known how large they are
FETCH_BYTES = 1_048_576  # of one answer of the broker; a larger record comes all the same (KIP-74)
QUEUED_KILOBYTES = 2_048  # fetched ahead of the reader


class KafkaPages:
    """A PageReader. Its consumers join no group and commit nothing. They are made when they are needed first, and kept: a
    new one takes some 10 ms and a connection."""

    def __init__(self, bootstrap_servers: str, seconds: float = 5.0) -> None:
        """`seconds`: how long one question may take."""
        self._servers, self._seconds = bootstrap_servers, seconds
        self._under_way = 0
        self._idle: deque[Consumer] = deque()
        self._threads = ThreadPoolExecutor(READERS, "log-pages")

    async def bounds(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        return await self._asked(lambda consumer, until: _bounds(consumer, sources, until))

    async def find(self, source: TopicPartition, milliseconds: int) -> int:
        def ask(consumer: Consumer, until: float) -> int:
            found = _offsets(consumer, [source], milliseconds, until).get(source)
            if found is None:
                _confirm(consumer, source.topic, [source.partition], until)
                raise NotThere(f"there is no {source}")
            return found

        return await self._asked(ask)

    async def page(self, source: TopicPartition, start: int, most_records: int, most_bytes: int) -> Page:
        def ask(consumer: Consumer, until: float) -> Page:
            first, end = _existing(consumer, source, until)
            at = {EARLIEST: first, LATEST: end}.get(start, start)
            if not first <= at <= end:
                raise OutOfRange(source, at, first, end)
            if at == end:
                return Page(at, (), at, False, first, end)
            return _Reading(consumer, source, until, (most_records, most_bytes)).page(at, first, end)

        return await self._asked(ask)

    def close(self) -> None:
        """Waits for what is under way."""
        self._threads.shutdown(cancel_futures=True)
        while self._idle:
            self._idle.pop().close()

    async def _asked(self, ask: Callable[[Consumer, float], T]) -> T:
        """What `ask` returns, given a consumer and the time by which it must have answered, in a thread.

        Raises:
            Away: no answer in time. Busy: too many questions are waiting for theirs.
        """
        if self._under_way >= MOST_AT_ONCE:
            raise Busy(f"{MOST_AT_ONCE} questions to the log wait for an answer")
        self._under_way += 1
        until = time.monotonic() + self._seconds

        def work() -> T:
            if time.monotonic() > until:  # nobody waits for it any more
                raise Away("no reader was free in time")
            with self._consumer() as consumer:
                return ask(consumer, until)

        try:
            # The client's own time limit comes first; this one ends the wait for a thread.
            return await asyncio.wait_for(asyncio.wrap_future(self._threads.submit(work)), self._seconds + 1)
        except TimeoutError:
            raise Away(f"the broker has not answered within {self._seconds:g} s") from None
        except KafkaException as failure:
            error = failure.args[0]
            # A negative one is the client's own: it could not ask, or gave up a connection on which it had asked.
            if error.code() in NO_ANSWER or error.retriable() or error.code() < 0:
                raise Away(error.str()) from failure
            raise
        finally:
            self._under_way -= 1

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = self._idle.pop() if self._idle else self._made()
        while consumer.consume(100, 0):
            pass  # what was told since it was used last: a broker that went away, and has come back
        stuck = False
        try:
            yield consumer
        except Away:
            stuck = True
            raise
        except KafkaException as failure:
            stuck = failure.args[0].code() not in NO_SUCH
            raise
        finally:
            if stuck:  # it may never get over a broker that stood still: see connectors.kafka_questions
                consumer.close()
            else:
                self._idle.append(consumer)

    def _made(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": f"fleetlog-pages-{uuid4()}",  # librdkafka wants one; it is never joined
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.queue.backoff.ms": 10,
                # A page waits for the fetch of the one before it to come back empty.
                "fetch.wait.max.ms": 20,
                "max.partition.fetch.bytes": FETCH_BYTES,
                "queued.max.messages.kbytes": QUEUED_KILOBYTES,
                "reconnect.backoff.ms": 100,
                "reconnect.backoff.max.ms": 1000,
            },
            logger=log,
        )


def _offsets(consumer: Consumer, sources: Sequence[TopicPartition], moment: int, until: float) -> dict[TopicPartition, int]:
    """The offset at a moment (milliseconds since 1970, EARLIEST or LATEST: the broker knows them under the same numbers) of
    each partition that is there."""
    if not sources:
        return {}
    seconds = max(until - time.monotonic(), 0.001)
    found = {}
    try:
        answers = consumer.offsets_for_times([KafkaPartition(*source, moment) for source in sources], seconds)
    except KafkaException as failure:
        if failure.args[0].code() in NO_SUCH:  # none of them is there
            return {}
        raise
    for one in answers:
        if one.error is None:
            found[TopicPartition(one.topic, one.partition)] = int(one.offset)
        elif one.error.code() not in NO_SUCH:
            raise KafkaException(one.error)
    return found


def _bounds(consumer: Consumer, sources: Sequence[TopicPartition], until: float) -> dict[TopicPartition, tuple[int, int]]:
    first, end = (_offsets(consumer, sources, moment, until) for moment in (EARLIEST, LATEST))
    found = {source: (first[source], end[source]) for source in sources if source in first and source in end}
    for topic, partitions in groupby(sorted({*sources} - found.keys()), key=lambda source: source.topic):
        _confirm(consumer, topic, [source.partition for source in partitions], until)
    return found


def _confirm(consumer: Consumer, topic: str, partitions: Iterable[int], until: float) -> None:
    """Returns if these partitions are not there. The client says so too where it only could not find out: a broker that was
    away, and is not back in its cluster yet, answers that it knows no topic.

    Raises:
        Away: one of them is there, or nobody knows.
    """
    described = consumer.list_topics(topic, max(until - time.monotonic(), 0.001))
    told = described.topics.get(topic)
    if not described.brokers or told is None:
        raise Away("the broker is not in its cluster yet")
    if told.error is None and any(partition in told.partitions for partition in partitions):
        raise Away(f"{topic}: who leads it is not known yet")
    if told.error is not None and told.error.code() not in NO_SUCH:
        raise KafkaException(told.error)


def _existing(consumer: Consumer, source: TopicPartition, until: float) -> tuple[int, int]:
    found = _bounds(consumer, [source], until).get(source)
    if found is None:
        raise NotThere(f"there is no {source}")
    return found


class _Reading:
    """The reading of one page."""

    def __init__(self, consumer: Consumer, source: TopicPartition, until: float, most: tuple[int, int]) -> None:
        self._consumer, self._source, self._until = consumer, source, until
        self._most_records, self._most_bytes = most
        self._records: list[LogRecord] = []
        self._size = 0
        self._following = self._end = 0
        self._full = self._ended = False
        self._trouble = "no record came in time"

    def page(self, start: int, first: int, end: int) -> Page:
        self._following, self._end = start, end
        self._consumer.assign([KafkaPartition(*self._source, start)])
        try:
            while not self._full and not self._ended and self._following < end:
                if time.monotonic() > self._until:
                    if self._records:
                        break
                    raise Away(f"{self._source}: {self._trouble}")
                for message in self._consumer.consume(self._step(end), CONSUME_SECONDS):
                    self._take(message, start)
        finally:
            self._consumer.unassign()
        following = self._following
        return Page(start, self._records, following, self._full, first, max(end, following))

    def _step(self, end: int) -> int:
        """How many records to take at once: no more than there may be, or than fit."""
        fitting = FIRST_STEP
        if self._records:
            mean = self._size / len(self._records)
            fitting = int((self._most_bytes - self._size) / mean) + 1
        return max(1, min(self._most_records - len(self._records), end - self._following, fitting, MOST_STEP))

    def _take(self, message: Message, start: int) -> None:
        error = message.error()
        if error is not None:
            self._trouble_of(error, message, start)
            return
        # Of the partition and from the place that was assigned: a late message of an earlier assignment is neither.
        if self._full or (message.topic(), message.partition()) != self._source or message.offset() < self._following:
            return
        record = _record(message)
        size = record.size
        if self._records and self._size + size > self._most_bytes:
            self._full = True
            return
        self._records.append(record)
        self._size += size
        self._following = record.offset + 1
        self._full = len(self._records) >= self._most_records or self._size > self._most_bytes

    def _trouble_of(self, error: KafkaError, message: Message, start: int) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            # An end before the one that is known is that of an earlier assignment.
            if (message.topic(), message.partition()) == self._source and message.offset() >= self._end:
                self._ended = True
                if not self._full:  # what lies before it are control records
                    self._following = message.offset()
        elif code == KafkaError._AUTO_OFFSET_RESET:
            first, end = _existing(self._consumer, self._source, self._until)
            raise OutOfRange(self._source, start, first, end)
        elif code in NO_SUCH:
            _confirm(self._consumer, self._source.topic, [self._source.partition], self._until)
            raise NotThere(f"there is no {self._source}")
        elif code in NO_ANSWER or error.retriable():
            self._trouble = error.str()  # it may come back in time
        else:
            raise KafkaException(error)


def _record(message: Message) -> LogRecord:
    kind, timestamp = message.timestamp()
    return LogRecord(
        message.offset(), timestamp if kind else None, kind == 2, message.key(), message.value(), message.headers() or ()
    )
