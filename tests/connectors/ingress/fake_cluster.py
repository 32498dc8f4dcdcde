"""A cluster of one broker that a test tells what to do."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence

from connectors.cluster import Broker, Ground, Group, NewTopic, PartitionState, Refusal, Setting, SettingValue
from connectors.memory import MemoryLog
from connectors.ports import Away
from schemas.contract import Contract
from schemas.log import TopicPartition

BROKER = 1
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
DAY = 86_400_000
MOST_PARTITIONS = 10_000
DEFAULTS = {"cleanup.policy": "delete", "retention.ms": str(7 * DAY), "segment.ms": str(7 * DAY)}
NUMBERS = ("retention.ms", "segment.ms")
SECRET = "secret"


class FakeCluster:
    """Port Cluster, with the topics of a producer. `away` refuses every question, `refusal` is raised by every one,
    `leaderless` are partitions without a leader, `forgotten` topics that the producer still knows."""

    def __init__(self, topics: MutableMapping[str, int], log: MemoryLog, contract: Contract) -> None:
        self.topic_sizes, self.log, self._contract = topics, log, contract
        self.away = ""
        self.refusal: Refusal | None = None
        self.leaderless: set[TopicPartition] = set()
        self.forgotten: set[str] = set()
        self.before_answer: Callable[[], None] = lambda: None
        self.groups, self.changes = FakeGroups(self), FakeChanges(self)
        self.set_values: dict[str, dict[str, str]] = {
            name: {"cleanup.policy": "delete", "retention.ms": str(topic.broker_retention_ms)}
            for name, topic in contract.topics.items()
        }

    async def topics(self) -> Mapping[str, Sequence[PartitionState]]:
        self.check()
        return {name: self._states(name) for name in self.topic_sizes if name not in self.forgotten}

    async def partitions(self, topic: str) -> Sequence[PartitionState] | None:
        return self._states(topic) if self.there(topic) else None

    async def settings(self, topics: Sequence[str]) -> Mapping[str, Sequence[Setting]]:
        return {topic: self._settings(topic) for topic in topics if self.there(topic)}

    async def offsets(self, topic: str, partition: int) -> tuple[int, int] | None:
        return self.log.bounds([topic])[TopicPartition(topic, partition)] if self.there(topic) else None

    async def ends(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.check()
        return {source: self.log.bounds([source.topic])[source][1] for source in sources if self.there(source.topic)}

    async def identity(self) -> str:
        self.check()
        return CLUSTER

    async def brokers(self) -> Sequence[Broker]:
        self.check()
        return [Broker(BROKER, "127.0.0.1", 9092, True)]

    async def close(self) -> None:
        """There is nothing to give back."""

    def check(self) -> None:
        self.before_answer()
        if self.away:
            raise Away(self.away)
        if self.refusal is not None:
            raise self.refusal

    def there(self, topic: str) -> bool:
        self.check()
        return topic in self.topic_sizes and topic not in self.forgotten

    def _states(self, topic: str) -> list[PartitionState]:
        return [self._state(TopicPartition(topic, number)) for number in range(self.topic_sizes[topic])]

    def _state(self, source: TopicPartition) -> PartitionState:
        if source in self.leaderless:
            return PartitionState(source.partition, None, (BROKER, 2), frozenset())
        return PartitionState(source.partition, BROKER, (BROKER,), frozenset({BROKER}))

    def _settings(self, topic: str) -> list[Setting]:
        values = self.set_values.get(topic, {})
        made = [_setting(name, values.get(name), default) for name, default in DEFAULTS.items()]
        return [*made, Setting(SECRET, None, "DYNAMIC_TOPIC_CONFIG", False, False, True, ())]


class FakeGroups:
    """Port Groups: `groups` by name, and the offsets that each has committed."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.groups: dict[str, Group] = {}
        self.offsets: dict[str, dict[TopicPartition, int]] = {}

    async def names(self) -> Sequence[str]:
        self._cluster.check()
        return sorted(self.groups)

    async def describe(self, names: Sequence[str]) -> Mapping[str, Group]:
        self._cluster.check()
        return {name: self.groups[name] for name in names if name in self.groups}

    async def committed(self, names: Sequence[str]) -> Mapping[str, Mapping[TopicPartition, int]]:
        self._cluster.check()
        return {name: self.offsets.get(name, {}) for name in names}


class FakeChanges:
    """Port Changes."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def create(self, topic: NewTopic, dry: bool) -> None:
        if self._cluster.there(topic.name):
            raise Refusal(Ground.EXISTS, f"Topic '{topic.name}' already exists.")
        count = len(topic.assignments) or topic.partitions or 1
        brokers = {broker for brokers in topic.assignments for broker in brokers}
        if count > MOST_PARTITIONS or (topic.replicas or 1) > 1 or brokers - {BROKER}:
            raise Refusal(Ground.INVALID, "so many partitions or replicas can't be")
        _check(topic.settings)
        if not dry:
            self._cluster.topic_sizes[topic.name] = count
            self._cluster.set_values[topic.name] = dict(topic.settings)

    async def delete(self, topic: str) -> bool:
        if not self._cluster.there(topic):
            return False
        del self._cluster.topic_sizes[topic]
        return True

    async def grow(self, topic: str, partitions: int) -> bool:
        if not self._cluster.there(topic):
            return False
        if partitions <= self._cluster.topic_sizes[topic]:
            raise Refusal(Ground.INVALID, "that would not be an increase")
        self._cluster.topic_sizes[topic] = partitions
        return True

    async def alter(self, topic: str, settings: Mapping[str, str | None], dry: bool) -> bool:
        if not self._cluster.there(topic):
            return False
        _check(settings)
        if not dry:
            kept = {**self._cluster.set_values.get(topic, {}), **settings}
            self._cluster.set_values[topic] = {name: value for name, value in kept.items() if value is not None}
        return True


def _check(settings: Mapping[str, str | None]) -> None:
    for name, value in settings.items():
        if name not in DEFAULTS:
            raise Refusal(Ground.INVALID, f"Unknown topic config name: {name}")
        if value is not None and name in NUMBERS and not value.isdigit():
            raise Refusal(Ground.INVALID, f"Invalid value {value} for configuration {name}")


def _setting(name: str, value: str | None, default: str) -> Setting:
    synonyms = (SettingValue(f"log.{name}", default, "DEFAULT_CONFIG"),)
    if value is None:
        return Setting(name, default, "DEFAULT_CONFIG", True, False, False, synonyms)
    own = SettingValue(name, value, "DYNAMIC_TOPIC_CONFIG")
    return Setting(name, value, own.source, False, False, False, (own, *synonyms))
