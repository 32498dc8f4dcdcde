"""A cluster of one broker that a test tells what to do."""

from collections.abc import Callable, Mapping, Sequence

from connectors.cluster import PartitionState
from connectors.memory import MemoryLog
from connectors.ports import Away
from schemas.contract import Contract
from schemas.log import TopicPartition

BROKER = 1
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
DAY = 86_400_000


class FakeCluster:
    """Port Cluster, with the topics of a producer. `away` refuses every question, `leaderless` are partitions without a
    leader, `forgotten` topics that the producer still knows."""

    def __init__(self, topics: Mapping[str, int], log: MemoryLog, contract: Contract) -> None:
        self._topics, self._log, self._contract = topics, log, contract
        self.away = ""
        self.leaderless: set[TopicPartition] = set()
        self.forgotten: set[str] = set()
        self.before_answer: Callable[[], None] = lambda: None

    async def partitions(self, topic: str) -> Sequence[PartitionState] | None:
        if not self._there(topic):
            return None
        return [self._state(TopicPartition(topic, number)) for number in range(self._topics[topic])]

    async def configs(self, topic: str) -> Mapping[str, str | None] | None:
        if not self._there(topic):
            return None
        declared = self._contract.topics.get(topic)
        days = 7 if declared is None else declared.retention_days
        return {"cleanup.policy": "delete", "retention.ms": str(days * DAY), "secret": None}

    async def offsets(self, topic: str, partition: int) -> tuple[int, int] | None:
        return self._log.bounds([topic])[TopicPartition(topic, partition)] if self._there(topic) else None

    async def identity(self) -> str:
        self._there("")
        return CLUSTER

    async def brokers(self) -> Sequence[int]:
        self._there("")
        return [BROKER]

    def _there(self, topic: str) -> bool:
        self.before_answer()
        if self.away:
            raise Away(self.away)
        return topic in self._topics and topic not in self.forgotten

    def _state(self, source: TopicPartition) -> PartitionState:
        if source in self.leaderless:
            return PartitionState(source.partition, None, (BROKER, 2), frozenset())
        return PartitionState(source.partition, BROKER, (BROKER,), frozenset({BROKER}))
