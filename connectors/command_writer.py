"""Writing single commands, and events that an operator is the author of, to the log, for processes that write few: each call
returns when the broker has the record."""

import logging
import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as KafkaMessage

from connectors.kafka_log import AWAY
from connectors.ports import Away
from schemas.messages import Message, Messages

POLL_SECONDS = 0.05
LARGEST = 1_000_000_000  # bytes; librdkafka's own bound


class CommandWriter:
    """For one thread at a time."""

    def __init__(self, bootstrap_servers: str, codecs: Mapping[str, Messages], timeout: float = 10.0) -> None:
        """`codecs`: of the command topics, by name."""
        self._codecs, self._timeout = codecs, timeout
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # Java's: the same key, the same partition, whoever writes
                "linger.ms": 0,
                "message.timeout.ms": int(timeout * 1000),
                "message.max.bytes": LARGEST,  # it is the topic's limit that counts
            },
            logger=logging.getLogger(__name__),
        )

    def write(self, topic: str, key: str, command: Message) -> int:
        """Returns the record's offset.

        Raises:
            Away: the broker has not taken it in time. It may be in the log nevertheless: the same record, with the same
                id, may be written again.
        """
        value = self._codecs[topic].encode(command)
        outcome: list[KafkaError | int] = []

        def delivered(error: KafkaError | None, message: KafkaMessage) -> None:
            outcome.append(int(message.offset()) if error is None else error)

        self._producer.produce(topic, value, key.encode(), on_delivery=delivered)
        until = time.monotonic() + self._timeout + 1.0
        while not outcome:
            self._producer.poll(POLL_SECONDS)
            if time.monotonic() > until:
                raise Away(f"{topic}: the broker has not answered in {self._timeout:g} s")
        found = outcome[0]
        if isinstance(found, int):
            return found
        if found.code() in AWAY | {KafkaError._MSG_TIMED_OUT}:
            raise Away(f"{topic}: {found.str()}")
        raise KafkaException(found)
