"""The contract's topics on a Kafka cluster: what differs, and what may be changed without asking.

Missing topics are created, settings are altered. Nothing is ever deleted, and the number of partitions is never
changed: keys would move to other partitions, so a change of it is a decision of its own.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from connectors.kafka_log import answer
from connectors.ports import Away
from schemas.contract import Topic

PREFIX = "fleet."
MOST_REPLICAS = 3
_SETTINGS = ("retention.ms", "cleanup.policy", "max.message.bytes", "min.insync.replicas")


class Remedy(StrEnum):
    """What `apply` does about a difference."""

    CREATE = "create"
    ALTER = "alter"
    NONE = "none"  # a person has to decide


@dataclass(frozen=True, slots=True)
class ActualTopic:
    """A topic as the cluster has it; `settings` are those of _SETTINGS."""

    name: str
    partitions: int
    replicas: int
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One point in which the cluster differs from the contract. `what` is "topic", "partitions" or a setting's name."""

    topic: str
    what: str
    declared: str
    actual: str
    remedy: Remedy

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} is {self.actual}, declared {self.declared}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`unknown` are topics of fleetlog's name space that the contract does not declare; no difference by themselves."""

    differences: tuple[Difference, ...]
    unknown: tuple[str, ...]


def declared_settings(topic: Topic, replicas: int) -> dict[str, str]:
    """The settings that the contract asks of a topic with so many replicas."""
    return {
        "retention.ms": str(topic.broker_retention_ms),
        "cleanup.policy": topic.cleanup_policy,
        "max.message.bytes": str(topic.max_message_bytes),
        "min.insync.replicas": str(min(2, replicas)),  # one replica may be away without stopping writes
    }


def compare(declared: Iterable[Topic], actual: Iterable[ActualTopic]) -> Comparison:
    """What differs, in the contract's order."""
    found = {topic.name: topic for topic in actual}
    wanted = list(declared)
    differences = [difference for topic in wanted for difference in _differences(topic, found.get(topic.name))]
    names = {topic.name for topic in wanted}
    unknown = sorted(name for name in found if name.startswith(PREFIX) and name not in names)
    return Comparison(tuple(differences), tuple(unknown))


def _differences(topic: Topic, actual: ActualTopic | None) -> list[Difference]:
    if actual is None:
        what = f"{topic.partitions} partitions"
        return [Difference(topic.name, "topic", what, "missing", Remedy.CREATE)]
    found = []
    if actual.partitions != topic.partitions:
        counts = str(topic.partitions), str(actual.partitions)
        found.append(Difference(topic.name, "partitions", *counts, Remedy.NONE))
    for name, value in declared_settings(topic, actual.replicas).items():
        if actual.settings.get(name) != value:
            found.append(Difference(topic.name, name, value, actual.settings.get(name, "unset"), Remedy.ALTER))
    return found


class KafkaTopics:
    """The topics of one cluster. Every call may raise Away."""

    def __init__(self, bootstrap_servers: str, timeout: float = 15.0) -> None:
        """`timeout` in seconds, of each request."""
        self._timeout = timeout
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers}, logger=logging.getLogger(__name__))

    def describe(self) -> list[ActualTopic]:
        """All topics of fleetlog's name space, by name."""
        topics = answer(lambda: self._admin.list_topics(timeout=self._timeout)).topics
        ours = {name: topic for name, topic in topics.items() if name.startswith(PREFIX)}
        settings = self._settings(sorted(ours))
        return [
            ActualTopic(name, len(topic.partitions), _replicas(topic), settings[name])
            for name, topic in sorted(ours.items())
        ]

    def compare(self, declared: Sequence[Topic]) -> Comparison:
        """What the cluster differs in from the contract."""
        return compare(declared, self.describe())

    def apply(self, declared: Sequence[Topic]) -> tuple[Comparison, Comparison]:
        """Create and alter what may be; returns what differed before, and what still differs. Idempotent.

        Returns when every new partition has a leader, so that it can be written to at once.

        Raises:
            KafkaException: the cluster refuses a change.
        """
        before = self.compare(declared)
        topics = {topic.name: topic for topic in declared}
        missing = [topics[d.topic] for d in before.differences if d.remedy is Remedy.CREATE]
        if missing:
            self._create(missing)
            self._wait_for_leaders([topic.name for topic in missing])
        alterations = [d for d in before.differences if d.remedy is Remedy.ALTER]
        if alterations:
            self._alter(alterations)
        return before, self.compare(declared) if missing or alterations else before

    def _create(self, topics: Sequence[Topic]) -> None:
        brokers = len(answer(lambda: self._admin.list_topics(timeout=self._timeout)).brokers)
        replicas = min(MOST_REPLICAS, brokers)
        wanted = [
            NewTopic(topic.name, topic.partitions, replicas, config=declared_settings(topic, replicas)) for topic in topics
        ]
        for future in self._admin.create_topics(wanted, operation_timeout=self._timeout).values():
            try:
                answer(future.result)
            except KafkaException as failure:
                if failure.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process was first
                    raise

    def _alter(self, differences: Sequence[Difference]) -> None:
        by_topic: dict[str, list[ConfigEntry]] = {}
        for d in differences:
            entry = ConfigEntry(d.what, d.declared, incremental_operation=AlterConfigOpType.SET)
            by_topic.setdefault(d.topic, []).append(entry)
        resources = [
            ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries) for name, entries in by_topic.items()
        ]
        for future in self._admin.incremental_alter_configs(resources, request_timeout=self._timeout).values():
            answer(future.result)

    def _settings(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        futures = self._admin.describe_configs(resources, request_timeout=self._timeout)
        found: dict[str, dict[str, str]] = {}
        for resource, future in futures.items():
            entries = answer(future.result)
            found[resource.name] = {name: str(entries[name].value) for name in _SETTINGS}
        return found

    def _wait_for_leaders(self, names: Sequence[str]) -> None:
        until = time.monotonic() + self._timeout
        while not self._led(names):
            if time.monotonic() > until:
                raise Away(f"new topics have no leader yet: {', '.join(names)}")
            time.sleep(0.05)

    def _led(self, names: Sequence[str]) -> bool:
        topics = answer(lambda: self._admin.list_topics(timeout=self._timeout)).topics
        return all(
            name in topics and topics[name].partitions and all(p.leader >= 0 for p in topics[name].partitions.values())
            for name in names
        )


def _replicas(topic: object) -> int:
    """Replicas of a topic's partitions (confluent_kafka's TopicMetadata has no public type), the least of all."""
    return min(len(partition.replicas) for partition in topic.partitions.values())  # type: ignore[attr-defined]
