"""Where a partition ends, with all that is in it: records of open transactions too, which readers of committed ones can't
see yet."""

import logging
from uuid import uuid4

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.kafka_log import answer
from schemas.log import TopicPartition


class KafkaEnds:
    """A consumer that is asked for ends and reads nothing. For one thread at a time."""

    def __init__(self, bootstrap_servers: str, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"fleetlog-ends-{uuid4()}",  # librdkafka wants one; nothing is ever committed
                "enable.auto.commit": False,
                "isolation.level": "read_uncommitted",
                "reconnect.backoff.max.ms": 1000,
            },
            logger=logging.getLogger(__name__),
        )

    def end_of(self, source: TopicPartition) -> int:
        """The offset that the next record will get.

        Raises:
            Away: the broker does not answer.
        """
        _, high = answer(lambda: self._consumer.get_watermark_offsets(KafkaPartition(*source), self._timeout))
        return int(high)

    def close(self) -> None:
        self._consumer.close()
