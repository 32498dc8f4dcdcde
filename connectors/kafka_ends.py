"""Where a partition ends, with all that is in it: records of open transactions too, which readers of committed ones can't
see yet."""

import logging
from uuid import uuid4

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.kafka_log import answer
from connectors.ports import Away
from schemas.log import TopicPartition

log = logging.getLogger(__name__)


class KafkaEnds:
    """A consumer that is asked for ends and reads nothing. For one thread at a time."""

    def __init__(self, bootstrap_servers: str, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._options = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"fleetlog-ends-{uuid4()}",  # librdkafka wants one; nothing is ever committed
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",
            "reconnect.backoff.max.ms": 1000,
        }
        self._consumer: Consumer | None = None

    def end_of(self, source: TopicPartition) -> int:
        """The offset that the next record will get.

        Raises:
            Away: the broker does not answer.
        """
        consumer = self._consumer = self._consumer or Consumer(self._options, logger=log)
        try:
            _, high = answer(lambda: consumer.get_watermark_offsets(KafkaPartition(*source), self._timeout))
        except Away:
            self._consumer = None  # it may never get over a broker that stood still: see connectors.kafka_questions
            raise
        return int(high)

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
