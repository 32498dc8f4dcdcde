"""What a Kafka cluster tells of itself, and changes of its topics (port Cluster), asked for from an asyncio loop."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import ClusterMetadata, TopicMetadata

from connectors.cluster import Broker, Group, NewTopic, PartitionState, Setting
from connectors.kafka_admin import KafkaAdmin
from connectors.kafka_admin_calls import Committed
from connectors.kafka_questions import NO_SUCH, Questions
from connectors.ports import Away
from schemas.log import TopicPartition

LATEST = -1  # as a time: behind the last record
GROUPS_AT_ONCE = 100  # each is a request of its own, and all of a call have one time limit


class KafkaCluster:
    """A Cluster. A consumer of this process is asked wherever it can answer, else the process of the admin client."""

    def __init__(self, bootstrap_servers: str, seconds: float = 5.0) -> None:
        """`seconds`: how long the broker may take to answer one question."""
        self._questions = Questions(bootstrap_servers, seconds)
        self._admin = KafkaAdmin(bootstrap_servers, seconds)
        self._identity = ""
        self.groups = KafkaGroups(self._admin)
        self.changes = KafkaChanges(self._admin)

    async def topics(self) -> dict[str, list[PartitionState]]:
        described = await self._described()
        return {name: _partitions(topic) for name, topic in described.topics.items() if topic.error is None}

    async def partitions(self, topic: str) -> list[PartitionState] | None:
        # Never creates a topic: allow.auto.create.topics is off by default.
        described = await self._questions.ask(partial(_metadata, topic))
        return None if described is None else _partitions(described.topics[topic])

    async def settings(self, topics: Sequence[str]) -> dict[str, list[Setting]]:
        return await self._admin.call("settings", topics, told=dict[str, list[Setting]])

    async def offsets(self, topic: str, partition: int) -> tuple[int, int] | None:
        return await self._questions.ask(partial(_bounds, KafkaTopicPartition(topic, partition)))

    async def ends(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        asked = [KafkaTopicPartition(*source, LATEST) for source in sources]
        return (await self._questions.ask(partial(_ends, asked)) if asked else None) or {}

    async def identity(self) -> str:
        """Asked once: it never changes."""
        if not self._identity:
            described = await self._described()
            if not described.cluster_id:
                raise Away("the cluster does not say who it is")
            self._identity = str(described.cluster_id)
        return self._identity

    async def brokers(self) -> list[Broker]:
        described = await self._described()
        controller = described.controller_id
        return [Broker(one.id, one.host, one.port, one.id == controller) for _, one in sorted(described.brokers.items())]

    async def close(self) -> None:
        """End the process of the admin client."""
        await self._admin.close()

    async def _described(self) -> ClusterMetadata:
        described = await self._questions.ask(partial(_metadata, ""))
        if described is None:
            raise Away("the cluster does not say what it has")
        return described


class KafkaGroups:
    """Groups."""

    def __init__(self, admin: KafkaAdmin) -> None:
        self._admin = admin

    async def names(self) -> list[str]:
        return await self._admin.call("groups", told=list[str])

    async def describe(self, names: Sequence[str]) -> dict[str, Group]:
        found: dict[str, Group] = {}
        for some in _portions(names):
            told: dict[str, Group] = await self._admin.call("describe", some, told=dict[str, Group])
            found |= told
        return found

    async def committed(self, names: Sequence[str]) -> dict[str, dict[TopicPartition, int]]:
        found: dict[str, dict[TopicPartition, int]] = {}
        for some in _portions(names):
            told: dict[str, Committed] = await self._admin.call("committed", some, told=dict[str, Committed])
            found |= {name: dict(offsets) for name, offsets in told.items()}
        return found


class KafkaChanges:
    """Changes. Each is asked for once."""

    def __init__(self, admin: KafkaAdmin) -> None:
        self._admin = admin

    async def create(self, topic: NewTopic, dry: bool) -> None:
        await self._admin.call("create", topic, dry, told=None)

    async def delete(self, topic: str) -> bool:
        return await self._admin.call("delete", topic, told=bool)

    async def grow(self, topic: str, partitions: int) -> bool:
        return await self._admin.call("grow", topic, partitions, told=bool)

    async def alter(self, topic: str, settings: Mapping[str, str | None], dry: bool) -> bool:
        return await self._admin.call("alter", topic, settings, dry, told=bool)


def _portions(names: Sequence[str]) -> Iterator[list[str]]:
    """The names that a group can have, some at a time: librdkafka would take one with a NUL for the part before it."""
    possible = sorted({name for name in names if name and "\0" not in name})
    return (possible[first : first + GROUPS_AT_ONCE] for first in range(0, len(possible), GROUPS_AT_ONCE))


def _metadata(topic: str, consumer: Consumer, seconds: float) -> ClusterMetadata:
    described = consumer.list_topics(topic, seconds) if topic else consumer.list_topics(timeout=seconds)
    if topic and described.topics[topic].error is not None:
        raise KafkaException(described.topics[topic].error)
    return described


def _partitions(topic: TopicMetadata) -> list[PartitionState]:
    return [
        PartitionState(one.id, one.leader if one.leader >= 0 else None, tuple(one.replicas), frozenset(one.isrs))
        for _, one in sorted(topic.partitions.items())
    ]


def _bounds(source: KafkaTopicPartition, consumer: Consumer, seconds: float) -> tuple[int, int]:
    first, following = consumer.get_watermark_offsets(source, seconds)
    return int(first), int(following)


def _ends(sources: list[KafkaTopicPartition], consumer: Consumer, seconds: float) -> dict[TopicPartition, int]:
    """Behind the last record that a reader may see: isolation.level is read_committed by default."""
    found: dict[TopicPartition, int] = {}
    for told in consumer.offsets_for_times(sources, seconds):
        if told.error is None:
            found[TopicPartition(told.topic, told.partition)] = told.offset
        elif told.error.code() not in NO_SUCH:
            raise KafkaException(told.error)
    return found
