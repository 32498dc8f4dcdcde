"""The OpenAPI 3.1 document, made from the table of routes, the contract's request forms and the answers' types."""

from collections.abc import Sequence
from typing import Any

import msgspec

from connectors.ingress.answers import DOCUMENTS
from connectors.ingress.http import Route
from connectors.ingress.rest_answers import ProduceFailed, ProduceOut, RestError
from schemas.json_form import RequestForm

REF = "#/components/schemas/{name}"
FAULTS = {
    400: "The body is not JSON, nests too deeply, or is bad gzip; or the path is malformed.",
    401: "No API key, or a wrong one.",
    409: "The same boot_id and sequence (or hardware_id) was used before with different content.",
    413: "The body is too large, or has too many records.",
    415: "A media type or encoding that is not taken.",
    422: "The body breaks the contract; `errors` names every place.",
    503: "The broker is away or has not acknowledged in time: send the same request again after Retry-After seconds.",
}
REST_FAULTS = {
    400: "The body is not JSON, or bad gzip.",
    401: "No API key, or a wrong one (40101).",
    403: "The topic is not written through REST (40301).",
    404: "Unknown topic (40401) or partition (40402).",
    406: "The client does not accept the answer's media type.",
    408: "The schema registry does not answer (40801).",
    413: "The body is too large, or has too many records.",
    415: "A media type or encoding that is not taken.",
    422: "A schema is missing (42201 key, 42202 value) or bad (42205), or data does not fit it (42203).",
    503: "The broker is away or has not acknowledged in time (50003): retry after Retry-After seconds.",
}
V2 = "application/vnd.kafka.v2+json"
Schema = dict[str, Any]


def _json(schema: Schema, media_type: str = "application/json") -> Schema:
    return {media_type: {"schema": schema}}


def ref(name: str) -> Schema:
    return {"$ref": REF.format(name=name)}


def path_parameter(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def body_of(name: str, form: RequestForm, batch: bool = True) -> Schema:
    """The request body of an upload: JSON, as such or gzipped."""
    one = {key: value for key, value in form.json_schema.items() if key != "$schema"}
    schema: Schema = one
    if batch:
        many = {
            "type": "object",
            "properties": {"records": {"type": "array", "minItems": 1, "items": one}},
            "required": ["records"],
            "additionalProperties": False,
        }
        schema = {"oneOf": [one, many]}
    return {"required": True, "description": f"A {name} upload; Content-Encoding may be gzip.", "content": _json(schema)}


def answers(name: str, batch: bool = False, faults: Sequence[int] = tuple(FAULTS)) -> Schema:
    """The responses of an operation that answers with the document `name`."""
    accepted: Schema = {"description": "Done."}
    if name:
        accepted["content"] = _json({"oneOf": [ref(name), ref("Results")]} if batch else ref(name))
    made: Schema = {"200": accepted}
    if batch:
        made["207"] = {"description": "Of a batch some uploads were accepted, others not.", "content": _json(ref("Results"))}
    for status in faults:
        content = _json(ref("Health")) if name == "Health" else _json(ref("Problem"), "application/problem+json")
        made[str(status)] = {"description": FAULTS[status], "content": content}
    return made


def produce_body() -> Schema:
    """The request body of a Kafka-REST produce."""
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
    content = {f"application/vnd.kafka.{form}.v2+json": {"schema": schema} for form in ("json", "binary", "avro")}
    return {"required": True, "description": "Records; Content-Encoding may be gzip.", "content": content}


def produce_answers() -> Schema:
    """The responses of a Kafka-REST produce."""
    fault = {"content": _json({"oneOf": [ref("RestError"), ref("ProduceFailed")]}, V2), "description": ""}
    made: Schema = {"200": {"description": "Some or all records were written.", "content": _json(ref("ProduceOut"), V2)}}
    return made | {str(status): {**fault, "description": REST_FAULTS[status]} for status in REST_FAULTS}


def topic_list() -> Schema:
    """The responses of GET /topics."""
    names = {"type": "array", "items": {"type": "string"}}
    return {"200": {"description": "Their names.", "content": _json(names, V2)}}


def document(routes: Sequence[Route]) -> bytes:
    """The whole document, as JSON."""
    _, components = msgspec.json.schema_components((*DOCUMENTS, RestError, ProduceOut, ProduceFailed), ref_template=REF)
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = dict(route.describe)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "fleetlog ingress",
                "version": "1",
                "description": "Devices and Kafka-REST clients write to the fleet's log here.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{"apiKey": []}, {"bearer": []}],
            "tags": [{"name": "devices"}, {"name": "kafka-rest"}, {"name": "operation"}],
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                    "bearer": {"type": "http", "scheme": "bearer"},
                },
            },
        }
    )
