"""Routes to read the log by position: every path, its handler, its OpenAPI description."""

from collections.abc import Sequence
from typing import Any

from connectors.http.problems import problem
from connectors.http.request import Handler, Route
from connectors.ingress.log_api import LogApi
from connectors.ingress.log_query import DEFAULT_LIMIT, MOST_RECORDS, MOST_WAIT, VALUES
from connectors.ingress.openapi import path_parameter, ref

Schema = dict[str, Any]
FAULTS = {
    400: "A parameter is not understood, or the path is malformed.",
    401: "No API key, or a wrong one.",
    403: "The topic is not open to this API key.",
    404: "Unknown topic or partition.",
    406: "The client does not accept any form of the answer.",
    410: "The log no longer has what was at `from`: the first offset that it has is in Log-First-Offset, and linked.",
    416: "The log does not reach to `from`: its end is in Log-End-Offset, and linked.",
    429: "Too many pages are being read: send the same request again after Retry-After seconds.",
    503: "The broker or the schema registry does not answer: send the same request again after Retry-After seconds.",
}
TOPIC = path_parameter("topic", "Name of the topic.", {"type": "string"})
PARTITION = path_parameter("partition", "Number of the partition.", {"type": "integer", "minimum": 0})
ENVELOPE = "An object container file of LogRecord: offset, timestamp, timestamp_type, key, headers, schema_id, value, error."
PAGE = (
    "Records from an offset on, committed ones only, in order. Nothing is consumed: the same request again gives the same "
    "records. `next` (and Link) leads to the next page, at the end too; a full page never changes while the log keeps its "
    "records. A page ends early where it would be too large, or hold records of too many schemas; in Avro also where the "
    "schema of the values changes."
)


def log_routes(api: LogApi) -> list[Route]:
    """All routes under /v1/log."""
    one = "/v1/log/{topic}/{partition}"
    return [
        _route("/v1/log", api.topics, "list_log_topics", "Topics that may be read", _json(ref("LogTopics")), (429, 503)),
        _route("/v1/log/{topic}", api.topic, "get_log_topic", "Bounds of a topic", _json(ref("LogTopic")), (429, 503)),
        _route(one, api.page, "read_log", "Records of a partition", _pages(), (410, 416, 429, 503)),
    ]


def _route(path: str, handler: Handler, name: str, summary: str, content: Schema, faults: Sequence[int]) -> Route:
    parameters = [parameter for parameter in (TOPIC, PARTITION) if f"{{{parameter['name']}}}" in path]
    known = (400, 401, 403, 404, 406) if parameters else (400, 401, 406)
    responses: Schema = {"200": {"description": "Found.", "content": content}}
    describe: Schema = {"operationId": name, "summary": summary, "tags": ["log"], "responses": responses}
    if name == "read_log":
        describe["description"] = PAGE
        parameters = [*parameters, *_parameters()]
        responses["200"]["headers"] = _headers()
        responses["304"] = {"description": "The client has it: If-None-Match named it."}
    for status in (*known, *faults):
        responses[str(status)] = {
            "description": FAULTS[status],
            "content": {"application/problem+json": {"schema": ref("Problem")}},
        }
    if parameters:
        describe["parameters"] = parameters
    return Route("GET", path, handler, problem, describe)


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _pages() -> Schema:
    file: Schema = {"schema": {"type": "string", "format": "binary", "description": ENVELOPE}}
    line: Schema = {"schema": {"type": "string", "description": "A LogEntry per line."}}
    return _json(ref("LogPage")) | {
        "application/x-ndjson": line,
        "application/avro": file,
        "avro/binary": file,
    }


def _parameters() -> list[Schema]:
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_RECORDS, "default": DEFAULT_LIMIT}
    wait = {"type": "number", "minimum": 0, "maximum": MOST_WAIT, "default": 0}
    forms = {"type": "string", "enum": ["json", "ndjson", "avro"]}
    return [
        _query("from", "Where to begin: an offset, `earliest` (the default) or `latest`.", {"type": "string"}),
        _query("at", "Or the first record at or after a moment.", {"type": "string", "format": "date-time"}),
        _query("limit", "Most records of the page.", limit),
        _query("wait", "Seconds to wait for a record where there is none yet.", wait),
        _query("values", "`base64`: values as they are, without the registry.", {"type": "string", "enum": [*VALUES]}),
        _query("format", "In place of Accept.", forms),
    ]


def _query(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _headers() -> Schema:
    described = {
        "Link": "The next page.",
        "Content-Location": "The address of this page.",
        "ETag": "Of its bytes.",
        "Log-First-Offset": "The first offset that the log keeps.",
        "Log-End-Offset": "The offset after the last record that can be read.",
    }
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()}
