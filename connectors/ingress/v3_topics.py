"""Kafka-REST v3: topics are listed, described, made, given more partitions, deleted."""

import asyncio
import time
from collections.abc import Callable, Sequence

from connectors.cluster import PartitionState
from connectors.http.request import Answer, Request
from connectors.ingress.cluster_faults import told
from connectors.ingress.rest_topics import TOPIC_NAME, no_topic
from connectors.ingress.v3_bodies import CreateTopicIn, PartitionsIn, check_partitions, new_topic
from connectors.ingress.v3_links import Links
from connectors.ingress.v3_resources import KafkaTopic, KafkaTopicList
from connectors.ingress.v3_scope import V3Scope, answer, nothing

SEEN_SECONDS = 2.0  # a change is waited for so long until the cluster tells of it
LOOK_SECONDS = 0.02
States = Sequence[PartitionState] | None


class V3Topics:
    """The handlers."""

    def __init__(self, scope: V3Scope) -> None:
        self._scope = scope

    async def topics(self, request: Request) -> Answer:
        """GET …/topics"""
        links = await self._scope.links(request)
        access, found = self._scope.topics.access, await told(self._scope.cluster.topics())
        seen = [_topic(links, name, found[name]) for name in sorted(found) if access.may_see(request.caller, name)]
        return answer(KafkaTopicList(links.listing("topics"), seen))

    async def topic(self, request: Request) -> Answer:
        """GET …/topics/{topic}"""
        links = await self._scope.links(request)
        topic = request.arguments[1]
        return answer(_topic(links, topic, await self._scope.partitions(request.caller, topic)))

    async def create(self, request: Request) -> Answer:
        """POST …/topics: 201 when producers and readers find it, 200 after a dry run."""
        links = await self._scope.links(request)
        asked = await self._scope.body(request, CreateTopicIn)
        self._scope.check_managed(request.caller, asked.topic_name)
        topic = new_topic(asked)
        await told(self._scope.cluster.changes.create(topic, asked.validate_only))
        found: States = None
        if not asked.validate_only:
            found = await self._seen(topic.name, _led)
        described = _topic(links, topic.name, found or ())
        if not found:
            described.partitions_count = len(topic.assignments) or topic.partitions or 0
            described.replication_factor = topic.replicas or 0
        if asked.validate_only:
            return answer(described)
        return answer(described, 201, location=described.metadata.self)

    async def grow(self, request: Request) -> Answer:
        """PATCH …/topics/{topic}: more partitions."""
        links = await self._scope.links(request)
        topic = request.arguments[1]
        await self._scope.managed(request.caller, topic)
        count = (await self._scope.body(request, PartitionsIn)).partitions_count
        check_partitions(count)
        if not await told(self._scope.cluster.changes.grow(topic, count)):
            raise no_topic(topic)
        found = await self._seen(topic, lambda states: _led(states) and len(states or ()) >= count)
        return answer(_topic(links, topic, found or ()))

    async def delete(self, request: Request) -> Answer:
        """DELETE …/topics/{topic}"""
        await self._scope.links(request)
        topic = request.arguments[1]
        self._scope.check_managed(request.caller, topic)
        if not TOPIC_NAME.fullmatch(topic) or not await told(self._scope.cluster.changes.delete(topic)):
            raise no_topic(topic)
        await self._seen(topic, lambda states: states is None)
        return nothing()

    async def _seen(self, topic: str, done: Callable[[States], bool]) -> States:
        """The topic as the cluster tells of it, as soon as it is so; the producer then knows of it too."""
        until = time.monotonic() + SEEN_SECONDS
        found = await told(self._scope.cluster.partitions(topic))
        while not done(found) and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
            found = await told(self._scope.cluster.partitions(topic))
        await self._scope.topics.changed()
        return found


def _led(states: States) -> bool:
    return states is not None and all(state.leader is not None for state in states)


def _topic(links: Links, name: str, partitions: Sequence[PartitionState]) -> KafkaTopic:
    path = ("topics", name)
    return KafkaTopic(
        metadata=links.resource(path, {"topic": name}),
        cluster_id=links.cluster,
        topic_name=name,
        is_internal=False,  # internal topics are nobody's to see
        replication_factor=len(partitions[0].replicas) if partitions else 0,
        partitions_count=len(partitions),
        partitions=links.related(*path, "partitions"),
        configs=links.related(*path, "configs"),
        partition_reassignments=links.related(*path, "partitions", "-", "reassignment"),
    )
