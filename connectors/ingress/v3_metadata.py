"""Kafka-REST v3: clusters, brokers, partitions, replicas."""

from collections.abc import Sequence

from connectors.cluster import Broker, PartitionState
from connectors.http.request import Answer, Fault, Request
from connectors.ingress.cluster_faults import told
from connectors.ingress.rest_topics import partition_number
from connectors.ingress.v3_links import Links
from connectors.ingress.v3_resources import (
    KafkaBroker,
    KafkaBrokerList,
    KafkaCluster,
    KafkaClusterList,
    KafkaPartition,
    KafkaPartitionList,
    KafkaReplica,
    KafkaReplicaList,
    ListMetadata,
)
from connectors.ingress.v3_scope import V3Scope, answer, number


class V3Metadata:
    """The handlers."""

    def __init__(self, scope: V3Scope) -> None:
        self._scope = scope

    async def clusters(self, request: Request) -> Answer:
        """GET /v3/clusters"""
        links = await self._scope.links(request)
        brokers = await told(self._scope.cluster.brokers())
        return answer(KafkaClusterList(ListMetadata(links.clusters), [_cluster(links, brokers)]))

    async def cluster(self, request: Request) -> Answer:
        """GET /v3/clusters/{cluster}"""
        links = await self._scope.links(request)
        return answer(_cluster(links, await told(self._scope.cluster.brokers())))

    async def brokers(self, request: Request) -> Answer:
        """GET …/brokers"""
        links = await self._scope.links(request)
        found = [_broker(links, broker) for broker in await told(self._scope.cluster.brokers())]
        return answer(KafkaBrokerList(links.listing("brokers"), found))

    async def broker(self, request: Request) -> Answer:
        """GET …/brokers/{broker}"""
        links = await self._scope.links(request)
        text = request.arguments[1]
        for broker in await told(self._scope.cluster.brokers()):
            if broker.number == number(text):
                return answer(_broker(links, broker))
        raise Fault(404, "BROKER_NOT_FOUND", f"there is no broker {text[:20]!r}")

    async def partitions(self, request: Request) -> Answer:
        """GET …/topics/{topic}/partitions"""
        links = await self._scope.links(request)
        topic = request.arguments[1]
        found = [_partition(links, topic, state) for state in await self._scope.partitions(request.caller, topic)]
        return answer(KafkaPartitionList(links.listing("topics", topic, "partitions"), found))

    async def partition(self, request: Request) -> Answer:
        """GET …/topics/{topic}/partitions/{partition}"""
        links = await self._scope.links(request)
        return answer(_partition(links, request.arguments[1], await self._state(request)))

    async def replicas(self, request: Request) -> Answer:
        """GET …/topics/{topic}/partitions/{partition}/replicas"""
        links = await self._scope.links(request)
        topic, state = request.arguments[1], await self._state(request)
        found = [_replica(links, topic, state, broker) for broker in state.replicas]
        return answer(KafkaReplicaList(links.listing("topics", topic, "partitions", state.partition, "replicas"), found))

    async def replica(self, request: Request) -> Answer:
        """GET …/topics/{topic}/partitions/{partition}/replicas/{broker}"""
        links = await self._scope.links(request)
        topic, text = request.arguments[1], request.arguments[3]
        state = await self._state(request)
        broker = number(text)
        if broker is None or broker not in state.replicas:
            raise Fault(404, "REPLICA_NOT_FOUND", f"partition {state.partition} has no replica on broker {text[:20]!r}")
        return answer(_replica(links, topic, state, broker))

    async def _state(self, request: Request) -> PartitionState:
        topic, text = request.arguments[1:3]
        found = await self._scope.partitions(request.caller, topic)
        return found[partition_number(topic, text, len(found))]


def _cluster(links: Links, brokers: Sequence[Broker]) -> KafkaCluster:
    controllers = [broker.number for broker in brokers if broker.controller]
    return KafkaCluster(
        metadata=links.resource((), {}),
        cluster_id=links.cluster,
        controller=links.related("brokers", controllers[0]) if controllers else None,
        acls=links.related("acls"),
        brokers=links.related("brokers"),
        broker_configs=links.related("broker-configs"),
        consumer_groups=links.related("consumer-groups"),
        topics=links.related("topics"),
        partition_reassignments=links.related("topics", "-", "partitions", "-", "reassignment"),
    )


def _broker(links: Links, broker: Broker) -> KafkaBroker:
    path = ("brokers", broker.number)
    return KafkaBroker(
        metadata=links.resource(path, {"broker": broker.number}),
        cluster_id=links.cluster,
        broker_id=broker.number,
        host=broker.host,
        port=broker.port,
        rack=None,
        configs=links.related(*path, "configs"),
        partition_replicas=links.related(*path, "partition-replicas"),
    )


def _partition(links: Links, topic: str, state: PartitionState) -> KafkaPartition:
    path = ("topics", topic, "partitions", state.partition)
    return KafkaPartition(
        metadata=links.resource(path, {"topic": topic, "partition": state.partition}),
        cluster_id=links.cluster,
        topic_name=topic,
        partition_id=state.partition,
        leader=None if state.leader is None else links.related(*path, "replicas", state.leader),
        replicas=links.related(*path, "replicas"),
        reassignment=links.related(*path, "reassignment"),
    )


def _replica(links: Links, topic: str, state: PartitionState, broker: int) -> KafkaReplica:
    path = ("topics", topic, "partitions", state.partition, "replicas", broker)
    return KafkaReplica(
        metadata=links.resource(path, {"topic": topic, "partition": state.partition, "replica": broker}),
        cluster_id=links.cluster,
        topic_name=topic,
        partition_id=state.partition,
        broker_id=broker,
        is_leader=broker == state.leader,
        is_in_sync=broker in state.in_sync,
        broker=links.related("brokers", broker),
    )
