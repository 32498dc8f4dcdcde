"""Port: what a Kafka cluster tells of itself (connectors.kafka_cluster)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition: brokers by number; `leader` is None while there is none."""

    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: frozenset[int]


class Cluster(Protocol):
    """Questions to a cluster. Every one may raise Away; None says that there is no such topic or partition."""

    async def partitions(self, topic: str) -> Sequence[PartitionState] | None:
        """The partitions of a topic, ascending."""

    async def configs(self, topic: str) -> Mapping[str, str | None] | None:
        """All settings of a topic, defaults too. The value of a secret is None."""

    async def offsets(self, topic: str, partition: int) -> tuple[int, int] | None:
        """The offset of the first record that is kept, and the one that the next record will get."""

    async def identity(self) -> str:
        """The cluster's id."""

    async def brokers(self) -> Sequence[int]:
        """The numbers of the brokers that are there, ascending."""
