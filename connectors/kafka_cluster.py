"""What a Kafka cluster tells of itself (port Cluster), asked from an asyncio loop."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TypeVar
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, ResourceType

from connectors.cluster import PartitionState
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
}
UNKNOWN = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,  # a name that no topic can have
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)


class KafkaCluster:
    """A Cluster. Its clients are made for the first question: most ingresses are never asked one.

    A consumer is asked, not the admin client, for all but settings: when a broker comes back, librdkafka's (2.12)
    `describe_cluster` may end the process by an assertion, and `list_offsets` fails with FENCED_LEADER_EPOCH.
    """

    def __init__(self, bootstrap_servers: str, seconds: float = 5.0) -> None:
        """`seconds`: how long the broker may take to answer one question."""
        self._seconds = seconds
        self._common = {
            "bootstrap.servers": bootstrap_servers,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 1000,  # the default of ten seconds outlasts the answers' time limit
        }
        self._under_way = 0
        self._identity = ""
        self._threads = ThreadPoolExecutor(THREADS, "cluster")

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(self._common, logger=log)

    @cached_property
    def _consumer(self) -> Consumer:
        """It never subscribes; librdkafka wants a group all the same."""
        return Consumer({**self._common, "group.id": f"fleetlog-cluster-{uuid4()}"}, logger=log)

    async def partitions(self, topic: str) -> list[PartitionState] | None:
        consumer = self._consumer  # never creates a topic: allow.auto.create.topics is off by default
        described = await self._asked(lambda: self._threads.submit(_metadata, consumer, topic, self._seconds))
        if described is None:
            return None
        found = [
            PartitionState(one.id, one.leader if one.leader >= 0 else None, tuple(one.replicas), frozenset(one.isrs))
            for one in described.topics[topic].partitions.values()
        ]
        return sorted(found, key=lambda one: one.partition)

    async def configs(self, topic: str) -> dict[str, str | None] | None:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        entries = await self._asked(
            lambda: self._admin.describe_configs([resource], request_timeout=self._seconds)[resource],
        )
        return None if entries is None else {name: entry.value for name, entry in sorted(entries.items())}

    async def offsets(self, topic: str, partition: int) -> tuple[int, int] | None:
        source, consumer = TopicPartition(topic, partition), self._consumer
        return await self._asked(lambda: self._threads.submit(_bounds, consumer, source, self._seconds))

    async def identity(self) -> str:
        """Asked once: it never changes."""
        if not self._identity:
            consumer = self._consumer
            described = await self._asked(lambda: self._threads.submit(_metadata, consumer, None, self._seconds))
            if described is None or not described.cluster_id:
                raise Away("the cluster does not say who it is")
            self._identity = str(described.cluster_id)
        return self._identity

    async def brokers(self) -> list[int]:
        consumer = self._consumer
        described = await self._asked(lambda: self._threads.submit(_metadata, consumer, None, self._seconds))
        return [] if described is None else sorted(described.brokers)

    async def _asked(self, ask: Callable[[], "Future[T]"]) -> T | None:
        """The answer; None if what was asked about is not there.

        Raises:
            Away: no answer in time, or too many questions are waiting for theirs.
            KafkaException: the cluster refuses to answer.
        """
        if self._under_way >= MOST_AT_ONCE:
            raise Away(f"{MOST_AT_ONCE} questions to the broker wait for an answer")
        self._under_way += 1
        try:
            # The client's own time limit comes first; this one ends the wait for a thread.
            return await asyncio.wait_for(asyncio.wrap_future(ask()), self._seconds + 1)
        except TimeoutError:
            raise Away(f"the broker has not answered within {self._seconds:g} s") from None
        except KafkaException as failure:
            error = failure.args[0]
            if error.code() in UNKNOWN:
                return None
            if error.code() in NO_ANSWER or error.retriable():
                raise Away(error.str()) from failure
            raise
        finally:
            self._under_way -= 1


def _metadata(consumer: Consumer, topic: str | None, seconds: float) -> ClusterMetadata:
    described = consumer.list_topics(topic, seconds) if topic else consumer.list_topics(timeout=seconds)
    consumer.poll(0)  # what the client has to say goes to the log
    if topic and described.topics[topic].error is not None:
        raise KafkaException(described.topics[topic].error)
    return described


def _bounds(consumer: Consumer, source: TopicPartition, seconds: float) -> tuple[int, int]:
    first, following = consumer.get_watermark_offsets(source, seconds)
    consumer.poll(0)
    return int(first), int(following)
