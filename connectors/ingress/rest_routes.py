"""Routes of Kafka-REST v2: every path, its handler, its OpenAPI description."""

from collections.abc import Sequence
from typing import Any

from connectors.http.request import Handler, Route
from connectors.ingress.openapi import IDEMPOTENCY_KEY, REPLAYED, path_parameter, ref
from connectors.ingress.rest_faults import rest_error
from connectors.ingress.rest_media import ANSWERED, EMBEDDED, GENERIC
from connectors.ingress.rest_metadata import RestMetadata
from connectors.ingress.rest_v2 import RestV2

FAULTS = {
    400: "The body is not JSON, or bad gzip; the path is malformed; or the idempotency key is none (40090).",
    401: "No API key, or a wrong one (40101).",
    403: "The topic is not open to this API key (40301).",
    404: "Unknown topic (40401) or partition (40402).",
    406: "The client does not accept the answer's media type.",
    408: "The schema registry does not answer (40801).",
    409: "The request was interrupted, and the log no longer says what it wrote (40990).",
    413: "The body is too large, or has too many records.",
    415: "A media type or encoding that is not taken.",
    422: "A schema is missing (42201 key, 42202 value) or bad (42205), data does not fit it (42203), or the idempotency "
    "key was used for another request (42290).",
    429: "More is on its way than can be held (42901): retry after Retry-After seconds.",
    503: "The broker is away or has not acknowledged in time (50003, 50390): retry after Retry-After seconds.",
}
Schema = dict[str, Any]
TOPIC = path_parameter("topic", "Name of the topic.", {"type": "string"})
PARTITION = path_parameter("partition", "Number of the partition.", {"type": "integer", "minimum": 0})


def rest_routes(rest: RestV2, metadata: RestMetadata) -> list[Route]:
    """All routes of Kafka-REST v2."""
    names = {"type": "array", "items": {"type": "string"}}
    partitions = {"type": "array", "items": ref("PartitionOut")}
    one = "/topics/{topic}/partitions/{partition}"
    return [
        _shows("/topics", metadata.topics, "list_topics", "Topics that are open to REST", names),
        _shows("/topics/{topic}", metadata.topic, "get_topic", "A topic: settings and partitions", ref("TopicOut")),
        _writes("/topics/{topic}", rest.produce, "produce"),
        _shows("/topics/{topic}/partitions", metadata.partitions, "list_partitions", "Partitions of a topic", partitions),
        _shows(one, metadata.partition, "get_partition", "A partition: leader and replicas", ref("PartitionOut")),
        _writes(one, rest.produce_to_partition, "produce_to_partition"),
        _shows(f"{one}/offsets", metadata.offsets, "get_offsets", "First and next offset", ref("OffsetsOut")),
        _shows("/brokers", metadata.brokers, "list_brokers", "Brokers of the cluster", ref("BrokersOut")),
    ]


def _shows(path: str, handler: Handler, name: str, summary: str, schema: Schema) -> Route:
    parameters = [parameter for parameter in (TOPIC, PARTITION) if f"{{{parameter['name']}}}" in path]
    faults = (400, 401, 403, 404, 406, 503) if parameters else (401, 406, 503)
    describe: Schema = {
        "operationId": name,
        "summary": summary,
        "tags": ["kafka-rest"],
        "responses": {"200": {"description": "Found.", "content": _content(schema)}} | _faults(faults, ref("RestError")),
    }
    return Route("GET", path, handler, rest_error, describe | ({"parameters": parameters} if parameters else {}))


def _writes(path: str, handler: Handler, name: str) -> Route:
    written = {
        "description": "Some or all records were written.",
        "headers": REPLAYED,
        "content": _content(ref("ProduceOut")),
    }
    failed = {"anyOf": [ref("RestError"), ref("ProduceFailed")]}
    describe = {
        "operationId": name,
        "summary": "Write records",
        "description": "Confluent REST Proxy v2. Answered after the broker's acknowledgement, with a result per record in "
        "their order. Partitioner: murmur2, as Java's. On the fleet's own topics: Avro of the contract's schema only.",
        "tags": ["kafka-rest"],
        "parameters": [TOPIC, PARTITION, IDEMPOTENCY_KEY] if "{partition}" in path else [TOPIC, IDEMPOTENCY_KEY],
        "requestBody": _records(),
        "responses": {"200": written} | _faults(tuple(FAULTS), failed),
    }
    return Route("POST", path, handler, rest_error, describe)


def _records() -> Schema:
    """The request body of a produce."""
    record = {
        "type": "object",
        "properties": {"key": {}, "value": {}, "partition": {"type": ["integer", "null"], "minimum": 0}},
        "additionalProperties": False,
    }
    properties: Schema = {"records": {"type": "array", "minItems": 1, "items": record}}
    for part in ("key", "value"):
        properties[f"{part}_schema"] = {"type": ["string", "null"], "description": "An Avro schema, as JSON text."}
        properties[f"{part}_schema_id"] = {"type": ["integer", "null"], "description": "Or its id in the registry."}
    schema = {"type": "object", "properties": properties, "required": ["records"], "additionalProperties": False}
    types = [f"application/vnd.kafka.{form}.v2+json" for form in EMBEDDED]
    types += [generic.decode() for generic in GENERIC]
    description = "Records; without an embedded format they are binary. Content-Encoding may be gzip."
    return {"required": True, "description": description, "content": {one: {"schema": schema} for one in types}}


def _content(schema: Schema) -> Schema:
    return {media_type.decode(): {"schema": schema} for media_type in ANSWERED}


def _faults(statuses: Sequence[int], schema: Schema) -> Schema:
    return {str(status): {"description": FAULTS[status], "content": _content(schema)} for status in statuses}
