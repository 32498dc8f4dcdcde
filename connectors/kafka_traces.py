"""The marks that requests leave on the records they write (port Tracer)."""

import logging
import time
from collections.abc import Iterator
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.kafka_log import CONSUME_SECONDS, answer
from connectors.ports import Away
from connectors.traces import MARK, Trace
from schemas.log import TopicPartition

UNKNOWN = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError.TOPIC_EXCEPTION})


class KafkaTraces:
    """A Tracer on a Kafka cluster. One consumer, so one read at a time.

    It reads what is not committed too: the records looked for are never part of a transaction, but may lie behind one
    that is open.
    """

    def __init__(self, bootstrap_servers: str, timeout: float = 10.0, batch_records: int = 2_000) -> None:
        self._timeout, self._batch_records = timeout, batch_records
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"fleetlog-traces-{uuid4()}",  # librdkafka wants one; nothing is ever committed
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_uncommitted",
                "fetch.queue.backoff.ms": 10,
                "fetch.wait.max.ms": 20,
                "queued.max.messages.kbytes": 4_096,
            },
            logger=logging.getLogger(__name__),
        )

    def bounds(self, topic: str) -> dict[TopicPartition, tuple[int, int]] | None:
        described = answer(lambda: self._consumer.list_topics(topic, self._timeout)).topics[topic]
        if described.error is not None:
            if described.error.code() in UNKNOWN:
                return None
            raise Away(f"topic {topic}: {described.error.str()}")
        return {TopicPartition(topic, partition): self._ends(topic, partition) for partition in described.partitions}

    def _ends(self, topic: str, partition: int) -> tuple[int, int]:
        source = KafkaPartition(topic, partition)
        low, high = answer(lambda: self._consumer.get_watermark_offsets(source, self._timeout))
        return int(low), int(high)

    def traces(self, source: TopicPartition, start: int, stop: int) -> Iterator[list[Trace]]:
        if start >= stop:
            return
        self._consumer.assign([KafkaPartition(source.topic, source.partition, start)])
        try:
            yield from self._found(source, stop)
        finally:
            self._consumer.unassign()

    def _found(self, source: TopicPartition, stop: int) -> Iterator[list[Trace]]:
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            messages: list[Message] = answer(lambda: self._consumer.consume(self._batch_records, CONSUME_SECONDS))
            records, ended = [], False
            for message in messages:
                error = message.error()
                if error is None:
                    records.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended = True
                else:  # also where the log no longer reaches back to the start: it did when its bounds were asked for
                    raise Away(f"{source}: {error.str()}")
            if records:
                deadline = time.monotonic() + self._timeout
                yield [_trace(record) for record in records if record.offset() < stop]
            if ended or (records and records[-1].offset() >= stop - 1):
                return
        raise Away(f"{source}: no record came for {self._timeout:g} s")

    def close(self) -> None:
        self._consumer.close()


def _trace(message: Message) -> Trace:
    kind, timestamp = message.timestamp()
    marks = [value for name, value in message.headers() or () if name == MARK]
    return Trace(message.offset(), timestamp if kind and timestamp > 0 else None, marks[-1] if marks else None)
