"""Copying records into another topic: the same keys, values, headers and timestamps, and a header that says where from."""

import logging
import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka_log import AWAY, answer
from connectors.ports import Away
from schemas.archive.records import Records

log = logging.getLogger(__name__)

ORIGIN = "fleetlog-replayed-from"
"""The header: TOPIC/PARTITION:OFFSET of the original."""

REASON = "fleetlog-replay-reason"
"""The header of records that were forced into a topic of the contract: why."""


class NoTopic(ValueError):
    """The cluster has no such topic."""


class TopicCopier:
    """Writes into one topic. Partitions are chosen by key, as all the fleet's writers choose them, so that the order within
    a key stays. `close` it at the end: it returns when the broker has everything."""

    def __init__(self, bootstrap_servers: str, topic: str, reason: str = "", seconds: float = 30.0) -> None:
        """Raises NoTopic, Away."""
        self._topic, self._reason, self._seconds, self._errors = topic, reason, seconds, list[KafkaError]()
        configuration = {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 5,
            "message.max.bytes": 20_000_000,
        }
        self._producer = Producer(configuration, logger=log)
        described = answer(lambda: self._producer.list_topics(topic, seconds)).topics[topic]
        if described.error is not None or not described.partitions:
            raise NoTopic(f"there is no topic {topic}: make it first")

    def write(self, records: Records) -> None:
        """Raises Away, KafkaException."""
        columns = records.offsets, records.timestamps, records.keys, records.headers, records.values
        for offset, timestamp, key, headers, value in zip(*columns, strict=True):
            marks: list[tuple[str, bytes | None]] = [*headers, (ORIGIN, f"{records.source}:{offset}".encode())]
            if self._reason:
                marks.append((REASON, self._reason.encode()))
            self._produce(key, value, marks, max(0, timestamp))
        self._look()

    def _produce(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]], timestamp: int
    ) -> None:
        until = time.monotonic() + self._seconds
        while True:
            try:
                self._producer.produce(
                    self._topic, value, key, headers=list(headers), timestamp=timestamp, on_delivery=self._delivered
                )
                return
            except BufferError:  # the queue is full: let it drain
                if time.monotonic() > until:
                    raise Away(f"{self._topic}: the broker does not take more") from None
                self._producer.poll(0.05)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._errors.append(error)

    def _look(self) -> None:
        for error in self._errors:
            if error.code() in AWAY or error.retriable():
                raise Away(f"{self._topic}: {error.str()}")
            raise KafkaException(error)

    def close(self) -> None:
        """Wait until all is acknowledged. Raises Away, KafkaException."""
        if self._producer.flush(self._seconds):
            raise Away(f"{self._topic}: the broker does not acknowledge")
        self._look()
