"""Writing to the log: librdkafka's idempotent producer, driven by an asyncio loop.

The loop itself polls for delivery reports, one timer for all records in flight, so that no thread competes for the
interpreter: a poll hands over every report that has come in since the one before. A record that was handed over never gets
an ambiguous outcome: librdkafka retries it, in order and without duplicates, until the broker has answered.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka_questions import reachable
from connectors.ports import Away, Busy

log = logging.getLogger(__name__)

Header = tuple[str, bytes | None]
Delivered = Callable[[KafkaError | None, Message], None]

POLL_SECONDS = 0.001  # while records are in flight
IDLE_POLL_SECONDS = 0.1
PROBE_SECONDS = 0.5  # between two attempts to reach a broker that is away
PROBE_TIMEOUT = 3.0
REFRESH_SECONDS = 30.0  # how old the topic list may get
MISSED_REFRESH_SECONDS = 1.0  # ... when a topic was asked for that is not in it
STATISTICS_MILLISECONDS = 1000
STUCK_SECONDS = 20.0  # away for longer than this, and a new client reaches the broker: this one never will


class RecordTooLarge(ValueError):
    """The record is larger than the broker takes."""


@dataclass(frozen=True, slots=True)
class ProducerOptions:
    """Bounds. `stall_seconds`: with records in flight and no report for this long the broker counts as away."""

    bootstrap_servers: str
    linger_milliseconds: float = 2
    queued_records: int = 50_000
    queued_kilobytes: int = 32_768
    stall_seconds: float = 10.0


class _Statistics(msgspec.Struct):
    """What is read of librdkafka's statistics."""

    msg_size: int = 0


class KafkaProducer:
    """A producer of one event loop; every method but `close` is called from that loop, after `start`."""

    def __init__(self, options: ProducerOptions, on_fatal: Callable[[str], None]) -> None:
        self._options, self._on_fatal = options, on_fatal
        self._away = "the broker was not reached yet"  # why; empty while it is there
        self._away_since = time.monotonic()
        self._topics: dict[str, int] = {}
        self._topics_read = float("-inf")
        self._other_events = 0
        self._progress = time.monotonic()
        self._busy = False
        self._watch: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.queued_bytes = 0  # in librdkafka's queue, as of its last statistics
        self._producer = Producer(
            {
                "bootstrap.servers": options.bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # Java's: the same key, the same partition, whoever writes
                "compression.type": "lz4",
                "linger.ms": options.linger_milliseconds,
                "message.timeout.ms": 0,  # no time-out: a record's fate is never unknown
                "queue.buffering.max.messages": options.queued_records,
                "queue.buffering.max.kbytes": options.queued_kilobytes,
                "reconnect.backoff.ms": 100,
                "reconnect.backoff.max.ms": 1000,
                "retry.backoff.max.ms": 1000,
                "socket.nagle.disable": True,
                "topic.metadata.propagation.max.ms": 5000,
                "statistics.interval.ms": STATISTICS_MILLISECONDS,
                "error_cb": self._error,
                "stats_cb": self._statistics,
                "logger": log,
            }
        )

    def start(self) -> None:
        """Begin to poll, and to look for the broker."""
        self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self._poll)
        self._watch = asyncio.create_task(self._watch_broker())

    @property
    def away(self) -> str:
        """Why nothing can be sent for now; empty when it can."""
        return self._away

    @property
    def queued(self) -> int:
        """Records handed over and not yet reported."""
        return len(self._producer)

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header],
        done: Delivered,
        place: tuple[int, int] = (-1, 0),
    ) -> None:
        """Hand over one record; `done` is called from the loop when the broker has acknowledged or refused it. `place` is
        its partition (-1: its key decides) and its timestamp (milliseconds since 1970; 0: now).

        Raises:
            Away: the broker is known to be away; Busy: the queue is full. Nothing was handed over.
            RecordTooLarge: nothing was handed over.
        """
        if self._away:
            raise Away(self._away)
        try:
            self._producer.produce(topic, value, key, place[0], done, timestamp=place[1], headers=headers)
        except BufferError:
            raise Busy("the queue of records to write is full") from None
        except KafkaException as failure:
            error = failure.args[0]
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                raise RecordTooLarge(error.str()) from None
            if error.code() == KafkaError._FATAL:
                self._fatal(error.str())
            raise Away(error.str()) from failure
        if not self._busy:
            self._busy = True
            self._progress = time.monotonic()
            self._schedule(POLL_SECONDS)

    async def partitions(self, topic: str) -> int | None:
        """Partition count of a topic; None if the cluster has no such topic.

        Raises:
            Away: the topic is not known and the broker does not answer.
        """
        known = self._topics.get(topic)
        if known is None and time.monotonic() - self._topics_read > MISSED_REFRESH_SECONDS:
            if self._away or not await self._refresh():
                raise Away(self._away or "the broker does not answer")
            known = self._topics.get(topic)
        return known

    async def listed(self) -> Iterable[str]:
        """The names of all topics, as they were a second ago or later.

        Raises:
            Away: the broker does not answer.
        """
        old = time.monotonic() - self._topics_read > MISSED_REFRESH_SECONDS
        if self._away or (old and not await self._refresh()):
            raise Away(self._away or "the broker does not answer")
        return self._topics.keys()

    async def reread(self) -> None:
        """The list of topics has changed: it is read again, now, or when the broker answers."""
        if self._refreshing is not None:
            await asyncio.wait([self._refreshing])  # it may have been asked for before the change
        self._topics_read = float("-inf")
        if not self._away:
            await self._refresh()

    async def close(self, seconds: float) -> int:
        """Wait up to `seconds` for the records in flight; returns how many were given up."""
        deadline = time.monotonic() + seconds
        while len(self._producer) and time.monotonic() < deadline:
            self._serve()
            await asyncio.sleep(POLL_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        return len(self._producer)

    # --- delivery reports

    def _schedule(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._poll)

    def _poll(self) -> None:
        self._serve()
        self._busy = len(self._producer) > 0
        self._schedule(POLL_SECONDS if self._busy else IDLE_POLL_SECONDS)

    def _serve(self) -> None:
        self._other_events = 0
        if self._producer.poll(0) > self._other_events:
            self._progress = time.monotonic()
        elif self._busy and not self._away and time.monotonic() - self._progress > self._options.stall_seconds:
            self._set_away(f"the broker has acknowledged nothing for {self._options.stall_seconds:g} s")

    def _statistics(self, text: str) -> None:
        self._other_events += 1
        self.queued_bytes = msgspec.json.decode(text, type=_Statistics).msg_size

    # --- the broker's presence

    def _error(self, error: KafkaError) -> None:
        self._other_events += 1
        if error.fatal():
            self._fatal(error.str())
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._set_away(error.str())
        else:
            log.warning("broker: %s", error.str())

    def _fatal(self, reason: str) -> None:
        self._set_away(reason)
        self._on_fatal(reason)

    def _set_away(self, reason: str) -> None:
        if not self._away:
            log.warning("the broker is away: %s", reason)
            self._away_since = time.monotonic()
        self._away = reason

    async def _watch_broker(self) -> None:
        while True:
            if (self._away or time.monotonic() - self._topics_read > REFRESH_SECONDS) and await self._refresh():
                if self._away:
                    log.info("the broker answers", extra={"context": {"topics": len(self._topics)}})
                self._away, self._progress = "", time.monotonic()
            if self._away and time.monotonic() - self._away_since > STUCK_SECONDS and await self._is_stuck():
                self._fatal("the client does not get back to a broker that is there")
            await asyncio.sleep(PROBE_SECONDS)

    async def _is_stuck(self) -> bool:
        """Whether a new client reaches the broker and this one does not, not even after it did: librdkafka may stay
        disconnected for good from a broker that was stopped and went on (2.12; its issue 5301)."""
        reach = partial(reachable, self._options.bootstrap_servers, PROBE_TIMEOUT)
        return await asyncio.get_running_loop().run_in_executor(None, reach) and not await self._refresh()

    async def _refresh(self) -> bool:
        """Read the list of topics, once for all who ask meanwhile; False if the broker does not answer."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._read_topics())
        return await asyncio.shield(self._refreshing)

    async def _read_topics(self) -> bool:
        read = partial(self._producer.list_topics, timeout=PROBE_TIMEOUT)
        try:
            described = await asyncio.get_running_loop().run_in_executor(None, read)
        except KafkaException as failure:
            log.debug("no answer from the broker: %s", failure.args[0].str())
            return False
        if not described.brokers:
            log.debug("the broker is not in its cluster yet, and knows no topic")
            return False
        self._topics = {name: len(topic.partitions) for name, topic in described.topics.items() if topic.error is None}
        self._topics_read = time.monotonic()
        return True
