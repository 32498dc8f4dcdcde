"""What a Kafka cluster tells of itself (port Cluster), asked from an asyncio loop without threads that wait."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import cached_property
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, Node, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from connectors.cluster import PartitionState
from connectors.kafka_log import AWAY
from connectors.ports import Away

log = logging.getLogger(__name__)
T = TypeVar("T")

MOST_AT_ONCE = 100  # questions under way
UNKNOWN = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,  # a name that no topic can have
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)


class KafkaCluster:
    """A Cluster. Its client is made for the first question: most ingresses are never asked one."""

    def __init__(self, bootstrap_servers: str, seconds: float = 5.0) -> None:
        """`seconds`: how long the broker may take to answer one question."""
        self._servers, self._seconds = bootstrap_servers, seconds
        self._under_way = 0

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self._servers}, logger=log)

    async def partitions(self, topic: str) -> list[PartitionState] | None:
        topics = TopicCollection([topic])
        described = await self._asked(
            lambda: self._admin.describe_topics(topics, request_timeout=self._seconds)[topic],
        )
        if described is None:
            return None
        found = [
            PartitionState(one.id, _number(one.leader), _numbers(one.replicas), frozenset(_numbers(one.isr)))
            for one in described.partitions
        ]
        return sorted(found, key=lambda one: one.partition)

    async def configs(self, topic: str) -> dict[str, str | None] | None:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        entries = await self._asked(
            lambda: self._admin.describe_configs([resource], request_timeout=self._seconds)[resource],
        )
        return None if entries is None else {name: entry.value for name, entry in sorted(entries.items())}

    async def offsets(self, topic: str, partition: int) -> tuple[int, int] | None:
        # One after the other: retention between the two only widens the range.
        beginning = await self._offset(topic, partition, OffsetSpec.earliest())
        end = await self._offset(topic, partition, OffsetSpec.latest())
        return None if beginning is None or end is None else (beginning, end)

    async def brokers(self) -> list[int]:
        described = await self._asked(lambda: self._admin.describe_cluster(request_timeout=self._seconds))
        if described is None:
            raise Away("the cluster is not known to its own broker")
        return sorted(_numbers(described.nodes))

    async def _offset(self, topic: str, partition: int, which: OffsetSpec) -> int | None:
        source = TopicPartition(topic, partition)
        found = await self._asked(
            lambda: self._admin.list_offsets({source: which}, request_timeout=self._seconds)[source],
        )
        return None if found is None else int(found.offset)

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
            return await asyncio.wrap_future(ask())
        except KafkaException as failure:
            error = failure.args[0]
            if error.code() in UNKNOWN:
                return None
            if error.code() in AWAY or error.retriable():
                raise Away(error.str()) from failure
            raise
        finally:
            self._under_way -= 1


def _number(broker: Node | None) -> int | None:
    return None if broker is None or broker.id < 0 else int(broker.id)


def _numbers(brokers: list[Node]) -> tuple[int, ...]:
    return tuple(int(broker.id) for broker in brokers)
