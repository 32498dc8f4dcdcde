"""Port: what a Kafka cluster tells of itself, and what may be changed there (connectors.kafka_cluster)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from schemas.log import TopicPartition


class Ground(StrEnum):
    """Why a cluster does not do what it is asked."""

    FORBIDDEN = "forbidden"  # to whom asks: the ingress's own rights on the cluster do not reach so far
    EXISTS = "exists"
    INVALID = "invalid"  # a name, a number or a setting that can't be, or that a policy of the cluster forbids


class Refusal(Exception):
    """The cluster has understood, and does not do it; nothing was changed. The message is the cluster's own."""

    def __init__(self, ground: Ground, message: str) -> None:
        super().__init__(message)
        self.ground = ground


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker; one of them counts as the controller."""

    number: int
    host: str
    port: int
    controller: bool = False


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition: brokers by number; `leader` is None while there is none."""

    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: frozenset[int]


@dataclass(frozen=True, slots=True)
class SettingValue:
    """A value of a setting and where it is from, such as DEFAULT_CONFIG or DYNAMIC_TOPIC_CONFIG; a secret's is None."""

    name: str
    value: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Setting(SettingValue):
    """A setting of a topic. `synonyms` are all values it has, the one that counts first."""

    default: bool
    read_only: bool
    sensitive: bool
    synonyms: tuple[SettingValue, ...]


def cleanup_policy(settings: Sequence[Setting]) -> str | None:
    """What is done with a topic's old records ("delete", "compact" or both); None where the settings do not say."""
    return next((setting.value for setting in settings if setting.name == "cleanup.policy"), None)


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to be made. None: as the cluster's defaults say. `assignments`: the brokers of each partition, the leader
    first; then neither `partitions` nor `replicas` is given."""

    name: str
    partitions: int | None
    replicas: int | None
    assignments: tuple[tuple[int, ...], ...]
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Member:
    """A consumer of a group and what it is to read. `instance` is None of one without a name of its own."""

    consumer: str
    instance: str | None
    client: str
    assigned: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group. `state` is Kafka's name of it, such as STABLE or EMPTY; `simple`: it only keeps offsets."""

    name: str
    simple: bool
    assignor: str
    state: str
    coordinator: int | None
    members: tuple[Member, ...]


class Groups(Protocol):
    """Questions about consumer groups. Every one may raise Away or Refusal."""

    async def names(self) -> Sequence[str]:
        """All groups, sorted."""

    async def describe(self, names: Sequence[str]) -> Mapping[str, Group]:
        """The groups of these that are there."""

    async def committed(self, names: Sequence[str]) -> Mapping[str, Mapping[TopicPartition, int]]:
        """Of each of these groups the offsets that it will read next, in the partitions that it has committed one of."""


class Changes(Protocol):
    """Changes of topics. Every one may raise Away (it may have been done) or Refusal (it was not), and gives False if
    there is no such topic. `dry`: only say whether it could be done."""

    async def create(self, topic: NewTopic, dry: bool) -> None:
        """A new topic; a Refusal if it is there."""

    async def delete(self, topic: str) -> bool:
        """A topic and all its records."""

    async def grow(self, topic: str, partitions: int) -> bool:
        """More partitions, so that there are so many."""

    async def alter(self, topic: str, settings: Mapping[str, str | None], dry: bool) -> bool:
        """Set settings, all or none; None sets one back to its default."""


class Cluster(Protocol):
    """Questions to a cluster. Every one may raise Away or Refusal; None says that there is no such topic or partition."""

    @property
    def groups(self) -> Groups: ...

    @property
    def changes(self) -> Changes: ...

    async def topics(self) -> Mapping[str, Sequence[PartitionState]]:
        """All topics and their partitions, ascending."""

    async def partitions(self, topic: str) -> Sequence[PartitionState] | None:
        """The partitions of a topic, ascending."""

    async def settings(self, topics: Sequence[str]) -> Mapping[str, Sequence[Setting]]:
        """All settings of each of these topics that is there, defaults too, by name."""

    async def offsets(self, topic: str, partition: int) -> tuple[int, int] | None:
        """The offset of the first record that is kept, and the one that the next record will get."""

    async def ends(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset behind the last record that may be read, of each of these partitions that is there."""

    async def identity(self) -> str:
        """The cluster's id."""

    async def brokers(self) -> Sequence[Broker]:
        """The brokers that are there, ascending."""

    async def close(self) -> None:
        """No more questions will come."""
