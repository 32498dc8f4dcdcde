"""Routes of Kafka-REST v3 beside records: every path, its handler, its OpenAPI description."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from connectors.http.request import JSON, Handler, Route
from connectors.ingress.openapi import path_parameter, ref
from connectors.ingress.v3_bodies import ChangesIn, CreateTopicIn, PartitionsIn, ValueIn
from connectors.ingress.v3_configs import V3Configs
from connectors.ingress.v3_faults import v3_error
from connectors.ingress.v3_groups import V3Groups
from connectors.ingress.v3_metadata import V3Metadata
from connectors.ingress.v3_scope import V3Scope
from connectors.ingress.v3_topics import V3Topics

Schema = dict[str, Any]
FAULTS = {
    400: "The body is not what it must be, or the path is malformed (400); or the cluster refuses (40002).",
    401: "No API key, or a wrong one (40101).",
    403: "The topic is not open to this API key, or not to be changed by it; or the cluster forbids it (40301).",
    404: "Another cluster (40401), no such topic or partition (40403), or nothing else of this name (404).",
    406: "The client does not accept application/json.",
    413: "The body is too large.",
    415: "The body is not application/json, or its encoding is not taken.",
    429: "More is on its way than can be held (42901): retry after Retry-After seconds.",
    503: "The broker is away or does not answer (50003): retry after Retry-After seconds.",
}
_ASKING = (400, 401, 403, 404, 406, 503)
TEXT: Schema = {"type": "string"}
PARAMETERS: dict[str, tuple[str, Schema]] = {
    "cluster": ("The cluster's id.", TEXT),
    "topic": ("Name of the topic.", TEXT),
    "partition": ("Number of the partition.", {"type": "integer", "minimum": 0}),
    "broker": ("Number of the broker.", {"type": "integer", "minimum": 0}),
    "name": ("Name of the setting.", TEXT),
    "group": ("Name of the group, percent-encoded.", TEXT),
    "consumer": ("The consumer's id, percent-encoded.", TEXT),
}

CLUSTER = "/v3/clusters/{cluster}"
TOPICS = f"{CLUSTER}/topics"
TOPIC = f"{TOPICS}/{{topic}}"
CONFIGS = f"{TOPIC}/configs"
PARTITION = f"{TOPIC}/partitions/{{partition}}"
GROUP = f"{CLUSTER}/consumer-groups/{{group}}"
CONSUMER = f"{GROUP}/consumers/{{consumer}}"
ONE = "{topic}/partitions/{partition}"


class Told(NamedTuple):
    """What an operation answers with, besides faults: a status, and a document if there is one."""

    status: int
    document: str = ""


DONE = Told(204)


def v3_metadata_routes(scope: V3Scope) -> list[Route]:
    """All routes of Kafka-REST v3 but those of records."""
    return [*_cluster_routes(V3Metadata(scope)), *_topic_routes(scope), *_group_routes(V3Groups(scope))]


def _cluster_routes(shown: V3Metadata) -> list[Route]:
    return [
        _shows("/v3/clusters", shown.clusters, "The clusters: one", "KafkaClusterList"),
        _shows(CLUSTER, shown.cluster, "The cluster", "KafkaCluster"),
        _shows(f"{CLUSTER}/brokers", shown.brokers, "The brokers", "KafkaBrokerList"),
        _shows(f"{CLUSTER}/brokers/{{broker}}", shown.broker, "A broker", "KafkaBroker"),
        _shows(f"{TOPIC}/partitions", shown.partitions, "The partitions of a topic", "KafkaPartitionList"),
        _shows(PARTITION, shown.partition, "A partition", "KafkaPartition"),
        _shows(f"{PARTITION}/replicas", shown.replicas, "The replicas of a partition", "KafkaReplicaList"),
        _shows(f"{PARTITION}/replicas/{{broker}}", shown.replica, "A replica", "KafkaReplica"),
    ]


def _topic_routes(scope: V3Scope) -> list[Route]:
    topics, configs = V3Topics(scope), V3Configs(scope)
    created = (Told(201, "KafkaTopic"), Told(200, "KafkaTopic"))
    return [
        _shows(TOPICS, topics.topics, "The topics that are open to this API key", "KafkaTopicList"),
        _changes(
            "POST", TOPICS, topics.create, "Make a topic; validate_only: say whether it can be", created, CreateTopicIn
        ),
        _shows(TOPIC, topics.topic, "A topic", "KafkaTopic"),
        _changes("PATCH", TOPIC, topics.grow, "Add partitions", (Told(200, "KafkaTopic"),), PartitionsIn),
        _changes("DELETE", TOPIC, topics.delete, "Delete a topic and its records", (DONE,)),
        _shows(f"{TOPICS}/-/configs", configs.all_configs, "The settings of all open topics", "KafkaTopicConfigList"),
        _shows(CONFIGS, configs.configs, "The settings of a topic", "KafkaTopicConfigList"),
        _changes("POST", f"{CONFIGS}:alter", configs.alter, "Change settings, all or none", (DONE,), ChangesIn),
        _shows(f"{CONFIGS}/{{name}}", configs.config, "A setting of a topic", "KafkaTopicConfig"),
        _changes("PUT", f"{CONFIGS}/{{name}}", configs.set, "Set a setting", (DONE,), ValueIn),
        _changes("DELETE", f"{CONFIGS}/{{name}}", configs.reset, "Set a setting back to its default", (DONE,)),
    ]


def _group_routes(groups: V3Groups) -> list[Route]:
    assignments = f"{CONSUMER}/assignments"
    return [
        _shows(f"{CLUSTER}/consumer-groups", groups.groups, "The groups of open topics", "KafkaConsumerGroupList"),
        _shows(GROUP, groups.group, "A consumer group", "KafkaConsumerGroup"),
        _shows(f"{GROUP}/consumers", groups.consumers, "The consumers of a group", "KafkaConsumerList"),
        _shows(CONSUMER, groups.consumer, "A consumer", "KafkaConsumer"),
        _shows(assignments, groups.assignments, "What a consumer reads", "KafkaConsumerAssignmentList"),
        _shows(f"{assignments}/{ONE}", groups.assignment, "A partition it reads", "KafkaConsumerAssignment"),
        _shows(f"{GROUP}/lag-summary", groups.lag_summary, "The lag of a group", "KafkaConsumerGroupLagSummary"),
        _shows(f"{GROUP}/lags", groups.lags, "The lags of a group", "KafkaConsumerLagList"),
        _shows(f"{GROUP}/lags/{ONE}", groups.lag, "The lag in a partition", "KafkaConsumerLag"),
    ]


def _shows(path: str, handler: Handler, summary: str, document: str) -> Route:
    return _route("GET", path, handler, summary, (Told(200, document),), _ASKING if "{" in path else (401, 403, 406, 503))


def _changes(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    told: Sequence[Told],
    body: type[msgspec.Struct] | None = None,
) -> Route:
    route = _route(method, path, handler, summary, told, tuple(FAULTS) if body else _ASKING)
    if body is None:
        return route
    content = {JSON.decode(): {"schema": ref(body.__name__)}}
    described = {**route.describe, "requestBody": {"required": True, "content": content}}
    return Route(method, path, handler, v3_error, described)


def _route(method: str, path: str, handler: Handler, summary: str, told: Sequence[Told], faults: Sequence[int]) -> Route:
    responses: Schema = {}
    for one in told:
        responses[str(one.status)] = {"description": "Done."} | ({"content": _content(one.document)} if one.document else {})
    for status in faults:
        responses[str(status)] = {"description": FAULTS[status], "content": _content("RestError")}
    names = [segment[1:-1] for segment in path.split("/") if segment.startswith("{")]
    describe: Schema = {
        "operationId": f"v3_{handler.__name__}",
        "summary": summary,
        "tags": ["kafka-rest-v3"],
        "parameters": [path_parameter(name, *PARAMETERS[name]) for name in names],
        "responses": responses,
    }
    return Route(method, path, handler, v3_error, describe)


def _content(document: str) -> Schema:
    return {JSON.decode(): {"schema": ref(document)}}
