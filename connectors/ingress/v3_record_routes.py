"""Routes of Kafka-REST v3 that write records: every path, its handler, its OpenAPI description."""

from collections.abc import Sequence
from typing import Any

from connectors.http.request import Route
from connectors.ingress.openapi import IDEMPOTENCY_KEY, REPLAYED, path_parameter, ref
from connectors.ingress.v3_faults import v3_error
from connectors.ingress.v3_records import V3Records
from connectors.ingress.v3_records_batch import ID

FAULTS = {
    400: "The body is not JSON, a record is not what it must be (the message names the place), or the idempotency key is "
    "none (40090).",
    401: "No API key, or a wrong one (40101).",
    403: "The topic is not open to this API key (40301).",
    404: "Unknown cluster (40401), topic or partition (40403).",
    406: "The client does not accept application/json.",
    408: "The schema registry does not answer (40801): retry after Retry-After seconds.",
    409: "The request was interrupted, and the log no longer says what it wrote (40990).",
    413: "A record, its headers or the body is too large.",
    415: "A media type, an encoding or a type of data that is not taken.",
    422: "A schema that can't be used (42205), a batch that is none (42208), what the broker refuses, or the "
    "idempotency key was used for another request (42290).",
    429: "More is on its way than can be held (42901): retry after Retry-After seconds.",
    503: "The broker is away or has not acknowledged in time (50003, 50390): retry after Retry-After seconds.",
}
PARAMETERS = [
    path_parameter("cluster_id", "Id of the cluster.", {"type": "string"}),
    path_parameter("topic_name", "Name of the topic.", {"type": "string"}),
    IDEMPOTENCY_KEY,
]
PATH = "/v3/clusters/{cluster_id}/topics/{topic_name}/records"
Schema = dict[str, Any]


def v3_record_routes(records: V3Records) -> list[Route]:
    """The routes that write."""
    record, error = _record(), ref("RestError")
    note = (
        "One record, or any number of them one after the other, also while results come: this API streams both ways. Each "
        "record has its result, in order, on a line of its own; one that fails does not end the rest. The HTTP status is "
        "200 if any record was written before the answer began; a request that came whole and wrote nothing has the status "
        "of its fault. With an idempotency key the request is read whole first."
    )
    results = {"oneOf": [ref("RecordOut"), error]}
    one = {
        "operationId": "produce_records_v3",
        "summary": "Write one record or a stream of them",
        "description": f"{note} Content-Encoding may be gzip.",
        "tags": ["kafka-rest-v3"],
        "parameters": PARAMETERS,
        "requestBody": _body(record, "Concatenated JSON; what is described is one record.", lines=True),
        "responses": {"200": _written(results, "One line for each record; what is described is one line.")}
        | _faults(tuple(FAULTS), error),
    }
    entry = record | {"properties": {"id": {"type": "string", "pattern": f"^{ID.pattern}$"}} | record["properties"]}
    entries = {"type": "array", "minItems": 1, "items": entry | {"required": ["id"]}}
    batch = {"type": "object", "properties": {"entries": entries}, "required": ["entries"], "additionalProperties": False}
    nothing = {"anyOf": [error, ref("BatchFailed")]}
    many = {
        "operationId": "produce_records_batch_v3",
        "summary": "Write a batch of records",
        "description": "Each entry succeeds or fails on its own, told by its id. If nothing was written and the batch may "
        "be taken later, the status is 408, 429 or 503.",
        "tags": ["kafka-rest-v3"],
        "parameters": PARAMETERS,
        "requestBody": _body(batch, "The records, each with an id of its own. Content-Encoding may be gzip."),
        "responses": {"207": _written(ref("BatchOut"), "The entries that were written, and those that were not.")}
        | _faults(tuple(FAULTS), nothing),
    }
    return [
        Route("POST", PATH, records.produce, v3_error, one),
        Route("POST", f"{PATH}:batch", records.produce_batch, v3_error, many),
    ]


def _record() -> Schema:
    """One record, as it is sent."""
    data = {
        "type": ["object", "null"],
        "properties": {
            "type": {"enum": ["BINARY", "JSON", "STRING", "AVRO", None]},
            "subject": {"type": ["string", "null"]},
            "subject_name_strategy": {"enum": ["TOPIC_NAME", "RECORD_NAME", "TOPIC_RECORD_NAME", None]},
            "schema_id": {"type": ["integer", "null"]},
            "schema_version": {"oneOf": [{"type": ["integer", "null"]}, {"const": "latest"}]},
            "schema": {"type": ["string", "null"], "description": "An Avro schema, as JSON text."},
            "data": {},
        },
        "additionalProperties": False,
    }
    header = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1},
            "value": {"type": ["string", "null"], "format": "byte"},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    moment = {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 1}, {"type": "null"}]}
    return {
        "type": "object",
        "properties": {
            "partition_id": {"type": ["integer", "null"]},
            "headers": {"type": ["array", "null"], "items": header},
            "key": data,
            "value": data,
            "timestamp": moment,
        },
        "additionalProperties": False,
    }


def _body(schema: Schema, description: str, lines: bool = False) -> Schema:
    types = ["application/json", "application/x-ndjson"] if lines else ["application/json"]
    return {"required": True, "description": description, "content": {one: {"schema": schema} for one in types}}


def _told(schema: Schema, description: str) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _written(schema: Schema, description: str) -> Schema:
    return _told(schema, description) | {"headers": REPLAYED}


def _faults(statuses: Sequence[int], schema: Schema) -> Schema:
    return {str(status): _told(schema, FAULTS[status]) for status in statuses}
