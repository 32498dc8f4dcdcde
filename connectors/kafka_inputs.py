"""Reading partitions of several topics from given offsets on, outside any group (port Inputs of connectors.inputs)."""

import logging
from collections.abc import Mapping, Sequence
from uuid import uuid4

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from connectors.kafka_log import AWAY, NOT_TOLD_OF, answer
from connectors.pending_batch import Collection, runs
from connectors.ports import Away
from schemas.log import Batch, TopicPartition

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
FETCH_MILLISECONDS = 100  # what an idle reader costs the broker: see connectors.kafka_tail


class KafkaInputs:
    """For one thread."""

    def __init__(self, bootstrap_servers: str, most: int = 20_000) -> None:
        """`most` records are taken at once."""
        self._most = most
        self._collected = Collection()
        self._assigned: list[TopicPartition] = []
        # Of its own: on the consumer's connection an answer waits for the fetch before it.
        self._asking = {"bootstrap.servers": bootstrap_servers, "socket.nagle.disable": True}
        self._admin: AdminClient | None = None
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"fleetlog-inputs-{uuid4()}",  # librdkafka wants one; it is never joined
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.queue.backoff.ms": 5,
                "fetch.wait.max.ms": FETCH_MILLISECONDS,
                "queued.max.messages.kbytes": 16_384,
                "reconnect.backoff.ms": 100,
                "reconnect.backoff.max.ms": 1000,
                "socket.nagle.disable": True,
            },
            logger=log,
        )

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        for source in self._assigned:
            self._collected.forget(source)
        self._assigned = list(positions)
        for source, offset in positions.items():
            self._collected.begin(source, offset)
        self._consumer.assign([KafkaPartition(*source, offset) for source, offset in positions.items()])

    def take(self, seconds: float) -> Sequence[Batch]:
        first = self._consumer.poll(seconds)
        messages = [] if first is None else [first, *self._consumer.consume(self._most, 0)]
        for source, run in runs([message for message in messages if self._is_record(message)]):
            self._collected.add(source, run, 0.0)
        pending = self._collected.pending
        batches = [pending[source].batch(source) for source in sorted(pending)]
        pending.clear()
        return batches

    def behind(self, sources: Sequence[TopicPartition]) -> set[TopicPartition]:
        asked = {KafkaPartition(*source): OffsetSpec.latest() for source in sources}
        self._admin = self._admin or AdminClient(self._asking, logger=log)
        answers = self._admin.list_offsets(
            asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ANSWER_SECONDS
        )
        found = set()
        try:
            for partition, future in answers.items():
                source = TopicPartition(partition.topic, partition.partition)
                position = self._collected.position(source)
                if position is None or position < answer(lambda future=future: future.result(ANSWER_SECONDS)).offset:  # type: ignore[misc]
                    found.add(source)
        except Away:
            # After a broker stood still, its epochs may be of before, for minutes: it does not look again.
            self._admin = None
            raise
        return found

    def close(self) -> None:
        self._consumer.close()

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise LostInputs(f"{message.topic()}/{message.partition()}: {error.str()}")
        if error.fatal():
            raise KafkaException(error)
        if error.code() in AWAY | NOT_TOLD_OF:
            raise Away(error.str())
        log.warning("%s: %s", message.topic(), error.str())
        return False


class LostInputs(Exception):
    """The log no longer holds the offset at which reading goes on."""
