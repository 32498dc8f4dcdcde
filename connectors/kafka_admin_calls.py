"""Calls of librdkafka's admin client, one function each, that block until the broker has answered."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ConsumerGroupDescription,
    MemberDescription,
    NewPartitions,
    ResourceType,
)
from confluent_kafka.admin import NewTopic as KafkaNewTopic

from connectors.cluster import Group, Member, NewTopic, Setting, SettingValue
from schemas.log import TopicPartition

T = TypeVar("T")
Committed = list[tuple[TopicPartition, int]]

BROKERS_CHOICE = -1
SOURCES = {source.value: source.name for source in ConfigSource} | {ConfigSource.UNKNOWN_CONFIG.value: "UNKNOWN"}
# Java's names of a group's state, where librdkafka's differ.
STATES = {
    ConsumerGroupState.PREPARING_REBALANCING: "PREPARING_REBALANCE",
    ConsumerGroupState.COMPLETING_REBALANCING: "COMPLETING_REBALANCE",
}
NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION})
NO_GROUP = frozenset({KafkaError.GROUP_ID_NOT_FOUND, KafkaError.INVALID_GROUP_ID})


class AdminCalls:
    """The calls. Every one may raise KafkaException; `seconds` is how long each request may take."""

    def __init__(self, client: AdminClient, seconds: float) -> None:
        self._client, self._seconds = client, seconds

    def settings(self, topics: Sequence[str]) -> dict[str, list[Setting]]:
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        if not resources:
            return {}
        futures = self._client.describe_configs(resources, request_timeout=self._seconds)
        told = _there(((resource.name, future) for resource, future in futures.items()), NO_TOPIC)
        return {topic: [_setting(entries[name]) for name in sorted(entries)] for topic, entries in told.items()}

    def create(self, topic: NewTopic, dry: bool) -> None:
        assigned = [list(brokers) for brokers in topic.assignments]
        made = KafkaNewTopic(
            topic.name,
            len(assigned) or _or_brokers_choice(topic.partitions),
            _or_brokers_choice(topic.replicas),
            config=dict(topic.settings),
            **({"replica_assignment": assigned} if assigned else {}),
        )
        times = {"operation_timeout": self._seconds, "request_timeout": self._seconds}
        self._client.create_topics([made], validate_only=dry, **times)[topic.name].result()

    def delete(self, topic: str) -> bool:
        times = {"operation_timeout": self._seconds, "request_timeout": self._seconds}
        return _done(self._client.delete_topics([topic], **times)[topic])

    def grow(self, topic: str, partitions: int) -> bool:
        times = {"operation_timeout": self._seconds, "request_timeout": self._seconds}
        return _done(self._client.create_partitions([NewPartitions(topic, partitions)], **times)[topic])

    def alter(self, topic: str, settings: Mapping[str, str | None], dry: bool) -> bool:
        entries = [
            # The value that goes with a deletion is not looked at.
            ConfigEntry(name, value or "", incremental_operation=_operation(value))
            for name, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        futures = self._client.incremental_alter_configs([resource], request_timeout=self._seconds, validate_only=dry)
        return _done(futures[resource])

    def groups(self) -> list[str]:
        listed = self._client.list_consumer_groups(request_timeout=self._seconds).result()
        for error in listed.errors:  # of one broker: its groups are missing
            raise KafkaException(error)
        return sorted(group.group_id for group in listed.valid)

    def describe(self, names: Sequence[str]) -> dict[str, Group]:
        futures = self._client.describe_consumer_groups(list(names), request_timeout=self._seconds)
        told = _there(futures.items(), NO_GROUP)
        # A group that is not there is told as one that is dead.
        return {name: _group(group) for name, group in told.items() if group.state != ConsumerGroupState.DEAD}

    def committed(self, names: Sequence[str]) -> dict[str, Committed]:
        futures = [(name, self._committed(name)) for name in names]
        return {name: _offsets(told) for name, told in _there(futures, NO_GROUP).items()}

    def _committed(self, name: str) -> "Future[ConsumerGroupTopicPartitions]":
        asked = [ConsumerGroupTopicPartitions(name)]
        answers: dict[str, Future[ConsumerGroupTopicPartitions]] = self._client.list_consumer_group_offsets(
            asked, request_timeout=self._seconds
        )
        return answers[name]


CALLS: dict[str, Callable[..., Any]] = {
    call.__name__: call
    for call in (
        *(AdminCalls.settings, AdminCalls.create, AdminCalls.delete, AdminCalls.grow, AdminCalls.alter),
        *(AdminCalls.groups, AdminCalls.describe, AdminCalls.committed),
    )
}


def _or_brokers_choice(number: int | None) -> int:
    return BROKERS_CHOICE if number is None else number


def _done(future: "Future[None]") -> bool:
    return "" in _there([("", future)], NO_TOPIC)


def _there(futures: "Iterable[tuple[str, Future[T]]]", missing: frozenset[int]) -> dict[str, T]:
    """The results of those whose error is not one of `missing`."""
    found: dict[str, T] = {}
    for name, future in futures:
        try:
            found[name] = future.result()
        except KafkaException as failure:
            if failure.args[0].code() not in missing:
                raise
    return found


def _operation(value: str | None) -> AlterConfigOpType:
    return AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET


def _setting(entry: ConfigEntry) -> Setting:
    """A secret's value is told to nobody, whatever the broker says."""

    def value(one: ConfigEntry) -> str | None:
        return None if entry.is_sensitive else one.value

    return Setting(
        name=entry.name,
        value=value(entry),
        source=_source(entry),
        default=entry.is_default,
        read_only=entry.is_read_only,
        sensitive=entry.is_sensitive,
        synonyms=tuple(SettingValue(one.name, value(one), _source(one)) for one in entry.synonyms.values()),
    )


def _source(entry: ConfigEntry) -> str:
    source: str = SOURCES.get(getattr(entry.source, "value", entry.source), "UNKNOWN")
    return source


def _group(told: ConsumerGroupDescription) -> Group:
    return Group(
        name=told.group_id,
        simple=told.is_simple_consumer_group,
        assignor=told.partition_assignor or "",
        state=STATES.get(told.state, told.state.name),
        coordinator=None if told.coordinator is None else told.coordinator.id,
        members=tuple(sorted((_member(one) for one in told.members), key=lambda one: one.consumer)),
    )


def _member(told: MemberDescription) -> Member:
    assigned = [] if told.assignment is None else told.assignment.topic_partitions
    sources = sorted(TopicPartition(one.topic, one.partition) for one in assigned)
    return Member(told.member_id, told.group_instance_id or None, told.client_id, tuple(sources))


def _offsets(told: ConsumerGroupTopicPartitions) -> Committed:
    for one in told.topic_partitions or ():
        if one.error is not None and one.error.code() not in NO_TOPIC:
            raise KafkaException(one.error)
    kept = (one for one in told.topic_partitions or () if one.error is None and one.offset >= 0)
    return sorted((TopicPartition(one.topic, one.partition), one.offset) for one in kept)
