"""Records of topics as they come, from a Kafka cluster (port EventTail)."""

import logging
import threading
from collections.abc import Sequence
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.event_tail import Tailed, Take
from connectors.ports import Away
from schemas.log import TopicPartition

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1  # of a wait for the next record; it ends when one comes
MOST_RECORDS = 500  # given at once
ANSWER_SECONDS = 5.0  # that the broker has for a question
RETRY_SECONDS = 0.5
# The broker answers as soon as there is something: a record is here 2 ms after its commit, whether this is 5 or 500. It
# is what an idle tail costs the broker: 17 to 28 % of a core at 5 ms, 3 % at 100 ms.
FETCH_MILLISECONDS = 100


class KafkaTail:
    """An EventTail. A consumer of its own, in a thread of its own, that joins no group and commits nothing.

    When the broker is lost, the consumer is made anew and goes on behind what was given last: librdkafka may stay
    disconnected for good from a broker that was stopped and went on (2.12; its issue 5301).
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._positions: dict[TopicPartition, int] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost = ""
        self.away = "the broker was not reached yet"

    def start(self, topics: Sequence[str], take: Take) -> None:
        self._thread = threading.Thread(target=self._run, args=(tuple(topics), take), name="event-tail", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, topics: Sequence[str], take: Take) -> None:
        while not self._closing.is_set():
            consumer = self._consumer()
            try:
                self._assign(consumer, topics)
                self.away = self._lost = ""
                while not self._closing.is_set() and not self._lost:
                    self._step(consumer, take)
            except Away as away:
                self._lost = str(away)
            except KafkaException as failure:
                self._lost = failure.args[0].str()
            finally:
                consumer.close()
            if not self._closing.is_set():
                log.warning("events are not followed just now: %s", self._lost)
                self.away = self._lost
                self._closing.wait(RETRY_SECONDS)

    def _assign(self, consumer: Consumer, topics: Sequence[str]) -> None:
        """Stand behind what was given last, or, of partitions that are new to this tail, at the end; at the beginning of
        those that came to be while it followed the others."""
        known = {source.topic for source in self._positions}
        found: dict[TopicPartition, int] = {}
        for topic in topics:
            described = consumer.list_topics(topic, ANSWER_SECONDS).topics[topic]
            if described.error is not None:
                raise Away(f"topic {topic}: {described.error.str()}")
            for partition in described.partitions:
                low, high = consumer.get_watermark_offsets(KafkaPartition(topic, partition), ANSWER_SECONDS)
                source = TopicPartition(topic, partition)
                found[source] = self._positions.get(source, low if topic in known else high)
        self._positions = found
        consumer.assign([KafkaPartition(*source, offset) for source, offset in found.items()])

    def _step(self, consumer: Consumer, take: Take) -> None:
        first = consumer.poll(POLL_SECONDS)  # consume() would sit out its time for as many as it may bring
        if first is None:
            return
        messages = [first, *consumer.consume(MOST_RECORDS, 0)]
        records = [self._record(message) for message in messages if self._is_record(message)]
        if records:
            self._given(records, take)
        for source, offset, _ in records:
            self._positions[source] = offset + 1

    def _given(self, records: Sequence[Tailed], take: Take) -> None:
        while not self._closing.is_set():
            try:
                take(records)
            except Away as away:
                self.away = str(away)
                self._closing.wait(RETRY_SECONDS)
            else:
                self.away = ""
                return

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() != KafkaError._PARTITION_EOF:
            self._lost = error.str()
        return False

    @staticmethod
    def _record(message: Message) -> Tailed:
        return Tailed(TopicPartition(message.topic(), message.partition()), message.offset(), message.value())

    def _error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._lost = error.str()

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": f"fleetlog-tail-{uuid4()}",  # librdkafka wants one; it is never joined
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.queue.backoff.ms": 1,
                "fetch.wait.max.ms": FETCH_MILLISECONDS,
                "reconnect.backoff.ms": 100,
                "reconnect.backoff.max.ms": 1000,
                "socket.nagle.disable": True,
                "error_cb": self._error,
            },
            logger=log,
        )
