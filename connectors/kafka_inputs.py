"""Reading partitions of several topics from given offsets on, outside any group (port Inputs of connectors.inputs)."""

import logging
from collections.abc import Mapping, Sequence
from typing import NoReturn
from uuid import uuid4

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.kafka_log import AWAY, NOT_TOLD_OF, answer
from connectors.pending_batch import Collection, runs
from connectors.ports import Away
from schemas.log import Batch, TopicPartition

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
LATEST = OFFSET_END  # -1: as a time that is asked for it means the end, in the protocol's ListOffsets
FETCH_MILLISECONDS = 100  # what an idle reader costs the broker: see connectors.kafka_tail


class KafkaInputs:
    """For one thread."""

    def __init__(self, bootstrap_servers: str, most: int = 20_000) -> None:
        """`most` records are taken at once."""
        self._most = most
        self._collected = Collection()
        self._assigned: list[TopicPartition] = []
        # Of its own: on the consumer's connection an answer waits for the fetch before it.
        self._asking = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"fleetlog-ends-{uuid4()}",  # never joined
            "isolation.level": "read_committed",
            "socket.nagle.disable": True,
        }
        self._asker: Consumer | None = None
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
        """Not by an AdminClient: the one of librdkafka 2.12 answers some questions after exactly 1 or 3 s, when it looks up
        who leads a partition while much else goes on."""
        if not sources:
            return set()
        asked = [KafkaPartition(*source, LATEST) for source in sources]
        asker = self._asker = self._asker or Consumer(self._asking, logger=log)
        found = set()
        try:
            for told in answer(lambda: asker.offsets_for_times(asked, ANSWER_SECONDS)):
                if told.error is not None:
                    answer(lambda error=told.error: _fail(error))  # type: ignore[misc]
                source = TopicPartition(told.topic, told.partition)
                position = self._collected.position(source)
                if position is None or position < told.offset:
                    found.add(source)
        except Away:
            # After a broker stood still, its epochs may be of before, for minutes: it does not look again.
            self._asker = None
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


def _fail(error: KafkaError) -> NoReturn:
    raise KafkaException(error)


class LostInputs(Exception):
    """The log no longer holds the offset at which reading goes on."""
