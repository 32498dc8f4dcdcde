"""Asking a Kafka cluster by a consumer, from an asyncio loop; and what the clients' errors mean."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException

from connectors.cluster import Ground, Refusal
from connectors.kafka_log import AWAY
from connectors.ports import Away

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_AT_ONCE = 100  # questions under way
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
    """The consumer that is asked. It is made for the first question: most ingresses are never asked one."""

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

    @cached_property
    def consumer(self) -> Consumer:
        return Consumer(self._options, logger=log)

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
        asked = self._threads.submit(_asked, question, self.consumer, self._seconds)
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


def _asked(question: Callable[[Consumer, float], T], consumer: Consumer, seconds: float) -> T:
    told = question(consumer, seconds)
    consumer.poll(0)  # what the client has to say goes to the log
    return told


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
