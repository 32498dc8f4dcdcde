"""Dead letters on their topic (port DeadLetters)."""

import logging
import time
from collections.abc import Sequence
from uuid import UUID, uuid5

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka_log import AWAY
from connectors.ports import Away, DeadLetter, SchemaRegistry
from schemas.codec import encode
from schemas.contract import Topic
from schemas.wire import prefix

NAMESPACE = UUID("6f8f3a51-5b0e-5f0b-9c39-0d9f6a0c1c11")
MOST_DETAIL = 4096
LARGEST = 1_000_000_000  # bytes; librdkafka's own bound


class KafkaDeadLetters:
    """Writes dead letters and waits until the broker has them."""

    def __init__(self, bootstrap_servers: str, topic: Topic, registry: SchemaRegistry, timeout: float = 10.0) -> None:
        self._topic, self._registry, self._timeout = topic, registry, timeout
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                # As large as a record may be: it is the topic's limit that counts, and it counts compressed bytes.
                "message.max.bytes": LARGEST,
                "queue.buffering.max.kbytes": LARGEST // 1000,
                # A letter fails within the caller's patience; the caller keeps its batch and sets it aside again.
                "message.timeout.ms": int(timeout * 1000),
            },
            logger=logging.getLogger(__name__),
        )

    def set_aside(self, letters: Sequence[DeadLetter]) -> None:
        record = self._topic.record
        frame = prefix(self._registry.register(self._topic.subject(record), record.schema))
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(error)

        now = time.time_ns() // 1000
        for letter in letters:
            value = frame + encode(record, _values(letter, now))
            self._produce(letter.key, value, delivered)
        left = self._producer.flush(self._timeout + 1.0)
        if left or failures:
            why = failures[0].str() if failures else f"{left} letters not acknowledged"
            if failures and failures[0].code() not in AWAY | {KafkaError._MSG_TIMED_OUT}:
                raise KafkaException(failures[0])
            raise Away(f"{self._topic.name}: {why}")

    def _produce(self, key: bytes | None, value: bytes, delivered: object) -> None:
        while True:
            try:
                self._producer.produce(self._topic.name, value, key, on_delivery=delivered)
                return
            except BufferError:  # the queue is full: let it drain
                if self._producer.flush(self._timeout):
                    raise Away(f"{self._topic.name}: the broker takes no letters") from None


def _values(letter: DeadLetter, now: int) -> dict[str, object]:
    return {
        "event_id": str(uuid5(NAMESPACE, f"{letter.view}:{letter.source}:{letter.offset}")),
        "view": letter.view,
        "topic": letter.source.topic,
        "partition": letter.source.partition,
        "offset": letter.offset,
        "set_aside_at": now,
        "reason": letter.reason,
        "detail": letter.detail[:MOST_DETAIL],
        "key": letter.key,
        "value": letter.value,
    }
