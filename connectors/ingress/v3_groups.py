"""Kafka-REST v3: consumer groups, their members, how far they are behind. Read only.

A group is known to who may read one of its topics: one that it has committed an offset in, or that a member is assigned.
To all others it is not there; and of its topics only those that the caller may read are told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.cluster import Group, Member
from connectors.http.request import Answer, Fault, Request
from connectors.ingress.cluster_faults import told
from connectors.ingress.rest_topics import forbidden
from connectors.ingress.v3_links import Links
from connectors.ingress.v3_resources import (
    KafkaConsumer,
    KafkaConsumerAssignment,
    KafkaConsumerAssignmentList,
    KafkaConsumerGroup,
    KafkaConsumerGroupLagSummary,
    KafkaConsumerGroupList,
    KafkaConsumerLag,
    KafkaConsumerLagList,
    KafkaConsumerList,
)
from connectors.ingress.v3_scope import V3Scope, answer, number
from schemas.log import TopicPartition

NOBODY = Member("", None, "", ())
"""Who reads a partition that is assigned to nobody, as Confluent's proxy tells it."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A group as far as a caller may see it: what its members are to read, and the offsets that it has committed."""

    group: Group
    assigned: Mapping[TopicPartition, Member]
    committed: Mapping[TopicPartition, int]


class V3Groups:
    """The handlers."""

    def __init__(self, scope: V3Scope) -> None:
        self._scope = scope

    async def groups(self, request: Request) -> Answer:
        """GET …/consumer-groups"""
        links = await self._scope.links(request)
        names = await told(self._scope.cluster.groups.names())
        found = [_group(links, seen.group) for seen in await self._seen(request.caller, names)]
        return answer(KafkaConsumerGroupList(links.listing("consumer-groups"), found))

    async def group(self, request: Request) -> Answer:
        """GET …/consumer-groups/{group}"""
        links = await self._scope.links(request)
        return answer(_group(links, (await self._one(request)).group))

    async def consumers(self, request: Request) -> Answer:
        """GET …/consumer-groups/{group}/consumers"""
        links = await self._scope.links(request)
        group = (await self._one(request)).group
        found = [_consumer(links, group.name, member) for member in group.members]
        return answer(KafkaConsumerList(links.listing("consumer-groups", group.name, "consumers"), found))

    async def consumer(self, request: Request) -> Answer:
        """GET …/consumer-groups/{group}/consumers/{consumer}"""
        links = await self._scope.links(request)
        seen = await self._one(request)
        return answer(_consumer(links, seen.group.name, _member(seen, request.arguments[2])))

    async def assignments(self, request: Request) -> Answer:
        """GET …/consumer-groups/{group}/consumers/{consumer}/assignments"""
        links = await self._scope.links(request)
        seen = await self._one(request)
        member, name = _member(seen, request.arguments[2]), seen.group.name
        found = [_assignment(links, name, member, source) for source in member.assigned if source in seen.assigned]
        path = ("consumer-groups", name, "consumers", member.consumer, "assignments")
        return answer(KafkaConsumerAssignmentList(links.listing(*path), found))

    async def assignment(self, request: Request) -> Answer:
        """GET …/consumers/{consumer}/assignments/{topic}/partitions/{partition}"""
        links = await self._scope.links(request)
        seen = await self._one(request)
        member, source = _member(seen, request.arguments[2]), self._source(request, 3)
        if source not in member.assigned:
            raise Fault(404, "ASSIGNMENT_NOT_FOUND", f"{member.consumer} is not to read {source}")
        return answer(_assignment(links, seen.group.name, member, source))

    async def lag_summary(self, request: Request) -> Answer:
        """GET …/consumer-groups/{group}/lag-summary"""
        links = await self._scope.links(request)
        seen = await self._one(request)
        lags = await self._lags(links, seen)
        if not lags:
            raise Fault(404, "OFFSETS_NOT_FOUND", f"the group {seen.group.name[:100]!r} has committed no offset")
        return answer(_summary(links, seen.group.name, lags))

    async def lags(self, request: Request) -> Answer:
        """GET …/consumer-groups/{group}/lags"""
        links = await self._scope.links(request)
        seen = await self._one(request)
        found = await self._lags(links, seen)
        return answer(KafkaConsumerLagList(links.listing("consumer-groups", seen.group.name, "lags"), found))

    async def lag(self, request: Request) -> Answer:
        """GET …/consumer-groups/{group}/lags/{topic}/partitions/{partition}"""
        links = await self._scope.links(request)
        seen = await self._one(request)
        source = self._source(request, 2)
        only = {source: seen.committed[source]} if source in seen.committed else {}
        found = await self._lags(links, _Seen(seen.group, seen.assigned, only))
        if not found:
            raise Fault(404, "OFFSETS_NOT_FOUND", f"the group has committed no offset in {source}")
        return answer(found[0])

    def _source(self, request: Request, first: int) -> TopicPartition:
        topic, text = request.arguments[first : first + 2]
        if not self._scope.topics.access.may_read(request.caller, topic):
            raise forbidden(topic)
        partition = number(text)
        return TopicPartition(topic, -1 if partition is None else partition)

    async def _one(self, request: Request) -> _Seen:
        name = request.arguments[1]
        for seen in await self._seen(request.caller, [name]):
            return seen
        raise Fault(404, "GROUP_NOT_FOUND", f"there is no consumer group {name[:100]!r}")

    async def _seen(self, caller: str, names: Sequence[str]) -> list[_Seen]:
        """Those of the groups that the caller may know of, by name."""
        described = await told(self._scope.cluster.groups.describe(names))
        committed = await told(self._scope.cluster.groups.committed(list(described)))
        found = []
        for name in sorted(described):
            group = described[name]
            assigned = {source: member for member in group.members for source in member.assigned}
            offsets = committed.get(name, {})
            topics = {source.topic for source in (*assigned, *offsets)}
            readable = {topic for topic in topics if self._scope.topics.access.may_read(caller, topic)}
            if readable:
                shown = {source: member for source, member in assigned.items() if source.topic in readable}
                kept = {source: offset for source, offset in offsets.items() if source.topic in readable}
                found.append(_Seen(group, shown, kept))
        return found

    async def _lags(self, links: Links, seen: _Seen) -> list[KafkaConsumerLag]:
        """One for each offset; not for that of a partition that is no longer there."""
        ends = await told(self._scope.cluster.ends(sorted(seen.committed)))
        return [_lag(links, seen, source, end) for source, end in sorted(ends.items())]


def _member(seen: _Seen, consumer: str) -> Member:
    for member in seen.group.members:
        if member.consumer == consumer:
            return member
    raise Fault(404, "CONSUMER_NOT_FOUND", f"the group has no consumer {consumer[:100]!r}")


def _group(links: Links, group: Group) -> KafkaConsumerGroup:
    path = ("consumer-groups", group.name)
    return KafkaConsumerGroup(
        metadata=links.resource(path, {"consumer-group": group.name}),
        cluster_id=links.cluster,
        consumer_group_id=group.name,
        is_simple=group.simple,
        partition_assignor=group.assignor,
        state=group.state,
        coordinator=None if group.coordinator is None else links.related("brokers", group.coordinator),
        consumers=links.related(*path, "consumers"),
        lag_summary=links.related(*path, "lag-summary"),
    )


def _consumer(links: Links, group: str, member: Member) -> KafkaConsumer:
    path = ("consumer-groups", group, "consumers", member.consumer)
    return KafkaConsumer(
        metadata=links.resource(path, {"consumer-group": group, "consumer": member.consumer}),
        cluster_id=links.cluster,
        consumer_group_id=group,
        consumer_id=member.consumer,
        instance_id=member.instance,
        client_id=member.client,
        assignments=links.related(*path, "assignments"),
    )


def _assignment(links: Links, group: str, member: Member, source: TopicPartition) -> KafkaConsumerAssignment:
    place = (source.topic, "partitions", source.partition)
    path = ("consumer-groups", group, "consumers", member.consumer, "assignments", *place)
    names = {"consumer-group": group, "consumer": member.consumer, "assignment": source.topic, "partition": source.partition}
    return KafkaConsumerAssignment(
        metadata=links.resource(path, names),
        cluster_id=links.cluster,
        consumer_group_id=group,
        consumer_id=member.consumer,
        topic_name=source.topic,
        partition_id=source.partition,
        partition=links.related("topics", *place),
        lag=links.related("consumer-groups", group, "lags", *place),
    )


def _lag(links: Links, seen: _Seen, source: TopicPartition, end: int) -> KafkaConsumerLag:
    group, member = seen.group.name, seen.assigned.get(source, NOBODY)
    path = ("consumer-groups", group, "lags", source.topic, "partitions", source.partition)
    return KafkaConsumerLag(
        metadata=links.resource(path, {"consumer-group": group, "lag": source.topic, "partition": source.partition}),
        cluster_id=links.cluster,
        consumer_group_id=group,
        topic_name=source.topic,
        partition_id=source.partition,
        consumer_id=member.consumer,
        instance_id=member.instance,
        client_id=member.client,
        current_offset=seen.committed[source],
        log_end_offset=end,
        lag=end - seen.committed[source],
    )


def _summary(links: Links, group: str, lags: Sequence[KafkaConsumerLag]) -> KafkaConsumerGroupLagSummary:
    longest, path = max(lags, key=lambda one: one.lag), ("consumer-groups", group)
    consumer = (*path, "consumers", longest.consumer_id) if longest.consumer_id else (*path, "consumers")
    return KafkaConsumerGroupLagSummary(
        metadata=links.resource((*path, "lag-summary"), {"consumer-group": group}, "lag-summary"),
        cluster_id=links.cluster,
        consumer_group_id=group,
        max_lag_consumer_id=longest.consumer_id,
        max_lag_instance_id=longest.instance_id,
        max_lag_client_id=longest.client_id,
        max_lag_topic_name=longest.topic_name,
        max_lag_partition_id=longest.partition_id,
        max_lag=longest.lag,
        total_lag=sum(one.lag for one in lags),
        max_lag_consumer=links.related(*consumer),
        max_lag_partition=links.related("topics", longest.topic_name, "partitions", longest.partition_id),
    )
