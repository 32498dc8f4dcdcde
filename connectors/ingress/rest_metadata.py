"""Kafka-REST v2, the part that shows: topics, partitions, offsets, brokers."""

import asyncio
from collections.abc import Sequence

import msgspec

from connectors.cluster import Cluster, PartitionState
from connectors.http.request import Answer, Request
from connectors.ingress.cluster_faults import told
from connectors.ingress.rest_answers import BrokersOut, OffsetsOut, PartitionOut, ReplicaOut, TopicOut
from connectors.ingress.rest_media import answer_type
from connectors.ingress.rest_topics import TOPIC_NAME, RestTopics, broker_away, no_topic, partition_number

NO_LEADER = -1  # as Confluent's proxy tells it

_encoder = msgspec.json.Encoder()


class RestMetadata:
    """The handlers. Topics that are not open are 403, as for those that write."""

    def __init__(self, topics: RestTopics, cluster: Cluster) -> None:
        self._topics, self._cluster = topics, cluster

    async def topics(self, request: Request) -> Answer:
        """GET /topics"""
        media_type = answer_type(request)
        return _answer(await self._topics.names(request.caller), media_type)

    async def topic(self, request: Request) -> Answer:
        """GET /topics/{topic}"""
        media_type = answer_type(request)
        (topic,) = request.arguments
        self._check(request.caller, topic)
        asked = asyncio.gather(self._cluster.partitions(topic), self._cluster.settings([topic]))
        partitions, settings = await told(asked)
        if partitions is None or topic not in settings:
            raise no_topic(topic)
        configs = {setting.name: setting.value for setting in settings[topic]}
        return _answer(TopicOut(topic, configs, [_partition(one) for one in partitions]), media_type)

    async def partitions(self, request: Request) -> Answer:
        """GET /topics/{topic}/partitions"""
        media_type = answer_type(request)
        (topic,) = request.arguments
        return _answer([_partition(one) for one in await self._partitions(request.caller, topic)], media_type)

    async def partition(self, request: Request) -> Answer:
        """GET /topics/{topic}/partitions/{partition}"""
        media_type = answer_type(request)
        topic, text = request.arguments
        partitions = await self._partitions(request.caller, topic)
        return _answer(_partition(partitions[partition_number(topic, text, len(partitions))]), media_type)

    async def offsets(self, request: Request) -> Answer:
        """GET /topics/{topic}/partitions/{partition}/offsets"""
        media_type = answer_type(request)
        topic, text = request.arguments
        partitions = await self._partitions(request.caller, topic)
        number = partition_number(topic, text, len(partitions))
        if partitions[number].leader is None:
            raise broker_away(f"partition {number} of {topic} has no leader")
        found = await told(self._cluster.offsets(topic, number))
        if found is None:
            raise no_topic(topic)
        return _answer(OffsetsOut(*found), media_type)

    async def brokers(self, request: Request) -> Answer:
        """GET /brokers"""
        media_type = answer_type(request)
        self._topics.check_broker()
        brokers = await told(self._cluster.brokers())
        return _answer(BrokersOut([broker.number for broker in brokers]), media_type)

    async def _partitions(self, caller: str, topic: str) -> Sequence[PartitionState]:
        self._check(caller, topic)
        found = await told(self._cluster.partitions(topic))
        if found is None:
            raise no_topic(topic)
        return found

    def _check(self, caller: str, topic: str) -> None:
        self._topics.check_seen(caller, topic)
        if not TOPIC_NAME.fullmatch(topic):
            raise no_topic(topic)
        self._topics.check_broker()


def _partition(state: PartitionState) -> PartitionOut:
    replicas = [ReplicaOut(broker, broker == state.leader, broker in state.in_sync) for broker in state.replicas]
    return PartitionOut(state.partition, NO_LEADER if state.leader is None else state.leader, replicas)


def _answer(document: object, media_type: bytes) -> Answer:
    return Answer(_encoder.encode(document), content_type=media_type)
