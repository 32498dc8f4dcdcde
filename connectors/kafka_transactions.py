"""Transactions on a Kafka cluster (port Transactions): librdkafka's transactional producer.

After a commit was answered the broker still writes its markers, and refuses the next transaction of the same producer
until they are there; the client then waits 20 ms and longer. So a few producers take turns. Their transactions don't
overlap, so the order in the log stays that of the calls.

What fences a writer is the generation of the group that its offsets are sent with. The transactional id does one thing more:
a process that starts anew under its old name ends what its predecessor left open, without waiting for the time-out.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.kafka_log import AWAY
from connectors.ports import Away
from connectors.transactions import Disowned, Outgoing
from schemas.log import TopicPartition

log = logging.getLogger(__name__)

NOT_OURS = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
        KafkaError._FENCED,
    }
)
"""What is answered to a member of an earlier generation, or to a producer whose transaction the broker has ended."""

NOT_NOW = AWAY | {KafkaError._MSG_TIMED_OUT, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
PAUSE_SECONDS = 0.05  # between two tries of a call that may be tried again


@dataclass(frozen=True, slots=True)
class TransactionOptions:
    """`name`: the writer's transactional id, the same in its next life. `timeout` (seconds): the broker aborts a
    transaction that is open for longer, and a call gives up after it. `producers` take turns."""

    bootstrap_servers: str
    name: str
    timeout: float = 10.0
    producers: int = 3

    def configuration(self, index: int) -> dict[str, object]:
        """What librdkafka is told."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "transactional.id": f"{self.name}.{index}",
            "transaction.timeout.ms": int(self.timeout * 1000),
            "partitioner": "murmur2_random",  # Java's: the same key, the same partition, whoever writes
            "compression.type": "lz4",
            "linger.ms": 0,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 1000,
            "retry.backoff.ms": 20,
            "socket.nagle.disable": True,
            "topic.metadata.propagation.max.ms": 5000,
        }


class KafkaTransactions:
    """May be called from several threads; one at a time gets through."""

    def __init__(self, options: TransactionOptions) -> None:
        self._options = options
        self._producers: list[Producer | None] = [None] * options.producers
        self._turn = 0
        self._lock = threading.Lock()

    def open(self) -> None:
        with self._lock:
            self._complete()

    def write(self, records: Sequence[Outgoing], consumed: Mapping[TopicPartition, int], member: Any) -> list[int]:
        with self._lock:
            self._complete()
            return self._written(self._next(), records, consumed, member)

    def _written(
        self, producer: Producer, records: Sequence[Outgoing], consumed: Mapping[TopicPartition, int], member: Any
    ) -> list[int]:
        offsets = [-1] * len(records)
        deadline = time.monotonic() + self._options.timeout
        try:
            producer.begin_transaction()
            failures = self._produce(producer, records, offsets, deadline)
            following = [KafkaPartition(*source, offset) for source, offset in consumed.items()]
            self._insist(lambda: producer.send_offsets_to_transaction(following, member, _left(deadline)), deadline)
            if producer.flush(_left(deadline)):
                failures.append(KafkaError(KafkaError._TIMED_OUT))
            if failures:
                raise KafkaException(failures[0])
        except KafkaException as failure:
            raise self._abandoned(producer, failure.args[0]) from failure
        self._commit(producer)
        return offsets

    def close(self) -> None:
        for index, producer in enumerate(self._producers):
            if producer is not None:
                producer.purge()
                self._producers[index] = None

    def _next(self) -> Producer:
        """The producer whose turn it is."""
        self._turn = (self._turn + 1) % len(self._producers)
        turn = self._producers[self._turn]
        assert turn is not None
        return turn

    def _complete(self) -> None:
        """Make all producers that are missing, at the start or after a failure. What was open under their names ends."""
        for index, producer in enumerate(self._producers):
            if producer is None:
                self._producers[index] = self._made(index)

    def _made(self, index: int) -> Producer:
        producer = Producer(self._options.configuration(index), logger=log)
        try:
            self._insist(lambda: producer.init_transactions(self._options.timeout), time.monotonic())
        except KafkaException as failure:
            error = failure.args[0]
            if error.code() in NOT_NOW or error.code() in NOT_OURS or error.retriable():
                raise Away(f"{self._options.name}.{index}: {error.str()}") from failure
            raise
        return producer

    def _produce(
        self, producer: Producer, records: Sequence[Outgoing], offsets: list[int], deadline: float
    ) -> list[KafkaError]:
        failures: list[KafkaError] = []

        def done(index: int) -> Callable[[KafkaError | None, Message], None]:
            def delivered(error: KafkaError | None, message: Message) -> None:
                if error is None:
                    offsets[index] = message.offset()
                else:
                    failures.append(error)

            return delivered

        for index, (topic, partition, key, value) in enumerate(records):
            while True:
                try:
                    producer.produce(topic, value, key, -1 if partition is None else partition, done(index))
                    break
                except BufferError:  # the queue is full: let it drain
                    if time.monotonic() > deadline:
                        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None
                    producer.poll(0.01)
        return failures

    def _insist(self, call: Callable[[], object], deadline: float) -> None:
        """Make a call again while the client says that this may help, until `deadline`."""
        while True:
            try:
                call()
                return
            except KafkaException as failure:
                if not failure.args[0].retriable() or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)

    def _abandoned(self, producer: Producer, error: KafkaError) -> Exception:
        """End a transaction that has failed before its commit; returns what to raise for it."""
        if error.fatal():
            self._discard(producer)
        else:
            try:
                self._insist(lambda: producer.abort_transaction(self._options.timeout), time.monotonic())
            except KafkaException as failure:
                log.warning("%s: a transaction could not be aborted: %s", self._options.name, failure.args[0].str())
                self._discard(producer)  # its successor, which has its name, ends the transaction
        log.info("%s: a transaction has failed: %s", self._options.name, error.str())
        if error.fatal() or error.code() in NOT_OURS:
            return Disowned(error.str())
        if error.code() in NOT_NOW or error.retriable():
            return Away(error.str())
        other: Exception = KafkaException(error)
        return other

    def _commit(self, producer: Producer) -> None:
        """Commit. Without an answer it is not known what was committed: then the log is asked, once a successor of the
        producer has made sure that nothing is open."""
        deadline = time.monotonic() + self._options.timeout
        try:
            self._insist(lambda: producer.commit_transaction(_left(deadline)), deadline)
        except KafkaException as failure:
            error = failure.args[0]
            if error.txn_requires_abort():
                raise self._abandoned(producer, error) from failure
            self._discard(producer)
            raise Disowned(f"the commit was not answered: {error.str()}") from failure

    def _discard(self, producer: Producer) -> None:
        producer.purge()
        self._producers[self._producers.index(producer)] = None


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
