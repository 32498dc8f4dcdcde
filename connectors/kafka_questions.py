"""Asking a Kafka cluster by a consumer, from an asyncio loop; and what the clients' errors mean."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Timer
from typing import TypeVar
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException

from connectors.cluster import Ground, Refusal
from connectors.kafka_log import AWAY
from connectors.ports import Away

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_AT_ONCE = 100  # questions under way
STUCK_SECONDS = 10.0
THREADS = 4  # for questions whose client has no futures
NO_ANSWER = AWAY | {
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}
NO_SUCH = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,  # a name that no topic can have
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
GROUNDS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: Ground.FORBIDDEN,
    KafkaError.GROUP_AUTHORIZATION_FAILED: Ground.FORBIDDEN,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: Ground.FORBIDDEN,
    KafkaError.TOPIC_ALREADY_EXISTS: Ground.EXISTS,
    KafkaError.TOPIC_EXCEPTION: Ground.INVALID,
    KafkaError.INVALID_PARTITIONS: Ground.INVALID,
    KafkaError.INVALID_REPLICATION_FACTOR: Ground.INVALID,
    KafkaError.INVALID_REPLICA_ASSIGNMENT: Ground.INVALID,
    KafkaError.INVALID_CONFIG: Ground.INVALID,
    KafkaError.INVALID_REQUEST: Ground.INVALID,
    KafkaError.POLICY_VIOLATION: Ground.INVALID,
    KafkaError.TOPIC_DELETION_DISABLED: Ground.INVALID,
    KafkaError.UNSUPPORTED_VERSION: Ground.INVALID,
    KafkaError._INVALID_ARG: Ground.INVALID,
    KafkaError._UNSUPPORTED_FEATURE: Ground.INVALID,
}


class Questions:
    """The consumer that is asked. It is made for the first question: most ingresses are never asked one.

    One that has answered nothing for `STUCK_SECONDS` gives way to another: librdkafka may stay disconnected for good from a
    broker that stood still while questions were under way, and went on (2.12; its issue 5301).
    """

    def __init__(self, bootstrap_servers: str, seconds: float) -> None:
        """`seconds`: how long the broker may take to answer one question."""
        self._seconds = seconds
        self._options = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"fleetlog-cluster-{uuid4()}",  # librdkafka wants one, though nothing is ever subscribed to
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 1000,  # the default of ten seconds outlasts the answers' time limit
        }
        self._under_way = 0
        self._threads = ThreadPoolExecutor(THREADS, "cluster")
        self._choosing = Lock()
        self._consumer: Consumer | None = None
        self._silent_since: float | None = None

    async def ask(self, question: Callable[[Consumer, float], T]) -> T | None:
        """What `question`, told of the time it has, gets from the consumer on a thread; None if what it asks about is
        not there.

        Raises:
            Away: no answer in time, or too many questions are waiting for theirs.
            Refusal: the cluster says no.
            KafkaException: any other fault.
        """
        if self._under_way >= MOST_AT_ONCE:
            raise Away(f"{MOST_AT_ONCE} questions to the broker wait for an answer")
        self._under_way += 1
        asked = self._threads.submit(self._asked, question)
        try:
            # The client's own time limit comes first; this one ends the wait for a thread.
            return await asyncio.wait_for(asyncio.wrap_future(asked), self._seconds + 1)
        except TimeoutError:
            raise Away(f"the broker has not answered within {self._seconds:g} s") from None
        except KafkaException as failure:
            error = failure.args[0]
            if error.code() in NO_SUCH:
                return None
            raise meaning(error) from failure
        finally:
            self._under_way -= 1

    # --- on the threads

    def _asked(self, question: Callable[[Consumer, float], T]) -> T:
        with self._choosing:
            consumer = self._consumer = self._consumer or Consumer(self._options, logger=log)
        try:
            told = question(consumer, self._seconds)
        except KafkaException as failure:
            self._heard(consumer, not _is_silence(failure.args[0]))
            raise
        self._heard(consumer, True)
        consumer.poll(0)  # what the client has to say goes to the log
        return told

    def _heard(self, consumer: Consumer, answered: bool) -> None:
        """Whether a question to the consumer was answered."""
        now = time.monotonic()
        with self._choosing:
            if consumer is not self._consumer:
                return
            if answered:
                self._silent_since = None
            elif self._silent_since is None:
                self._silent_since = now
            elif now - self._silent_since > STUCK_SECONDS:
                self._consumer = self._silent_since = None
                self._close_later(consumer)

    def _close_later(self, consumer: Consumer) -> None:
        """When no question to it can be under way any more."""
        log.info("the client that asks the broker has heard nothing for %g s; another takes its place", STUCK_SECONDS)
        closing = Timer(2 * self._seconds + 1, consumer.close)
        closing.daemon = True
        closing.start()


def meaning(error: KafkaError) -> Exception:
    """What an error of a client is to those who ask."""
    if error.code() in GROUNDS:
        return Refusal(GROUNDS[error.code()], error.str())
    if error.code() in NO_ANSWER or error.retriable():
        return Away(error.str())
    if error.code() < 0:  # the client's own: it could not ask, or not understand the answer
        log.warning("a question to the broker has failed: %s", error)
        return Away(error.str())
    other: Exception = KafkaException(error)
    return other


def _is_silence(error: KafkaError) -> bool:
    return error.code() not in NO_SUCH and error.code() not in GROUNDS and (error.code() in NO_ANSWER or error.code() < 0)


def reachable(bootstrap_servers: str, seconds: float) -> bool:
    """Whether a new client gets an answer from the cluster in this time."""
    client = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": f"fleetlog-probe-{uuid4()}"}, logger=log)
    try:
        client.list_topics(timeout=seconds)
    except KafkaException:
        return False
    finally:
        client.close()
    return True
