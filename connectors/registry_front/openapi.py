"""What the front serves, as an OpenAPI 3.1 document: the parts of its operations, and the whole."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from connectors.http.request import Route
from connectors.registry_front.bodies import LEVELS, MODES, TYPES
from connectors.registry_front.media import GIVEN

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
FLAG: Schema = {"type": "boolean"}
NUMBERS: Schema = {"type": "array", "items": NUMBER}
TEXTS: Schema = {"type": "array", "items": TEXT}
FAULTS = {
    400: "The request can't be read: bad JSON, a parameter given twice, a path that is no UTF-8.",
    404: "There is no such subject (40401), version (40402), schema (40403), level (40408) or path (404); softly deleted "
    "already (40404, 40406), or not yet (40405, 40407).",
    406: "None of the media types that the client takes is given.",
    409: "The schema is incompatible with earlier ones of its subject.",
    413: "The body is too large.",
    415: "The body is of a media type or encoding that is not read.",
    422: "No schema (42201), version (42202), level (42203), mode (42204) or subject (42208); not permitted (42205); "
    "referred to (42206); too large a schema (42209).",
    429: "Too many large bodies are being read: ask again after Retry-After seconds.",
    500: "The registry behind failed (50001).",
    503: "The registry behind is away (50003) or slow (50002): ask again after Retry-After seconds.",
}
OF_ANY = (400, 404, 406, 422, 500, 503)
OF_BODY = (413, 415, 429)
REFERENCE: Schema = {
    "type": "object",
    "properties": {"name": TEXT, "subject": TEXT, "version": {"type": "integer", "minimum": -1, "maximum": 2**31 - 1}},
    "required": ["name", "subject", "version"],
}
_SCHEMA = {"schema": TEXT, "schemaType": {"enum": list(TYPES)}, "references": {"type": "array", "items": REFERENCE}}
COMPONENTS: dict[str, Schema] = {
    "RegistryError": {
        "type": "object",
        "properties": {"error_code": {"type": "integer"}, "message": TEXT},
        "required": ["error_code", "message"],
        "additionalProperties": False,
    },
    "GivenSchema": {
        "type": "object",
        "properties": {**_SCHEMA, "id": {"type": "integer"}, "version": {"type": "integer"}},
        "required": ["schema"],
    },
    "SchemaId": {"type": "object", "properties": {"id": NUMBER}, "required": ["id"]},
    "SchemaOfId": {"type": "object", "properties": _SCHEMA, "required": ["schema"]},
    "Version": {
        "type": "object",
        "properties": {"subject": TEXT, "version": NUMBER, "id": NUMBER, **_SCHEMA},
        "required": ["subject", "version", "id", "schema"],
    },
    "SubjectVersion": {
        "type": "object",
        "properties": {"subject": TEXT, "version": NUMBER},
        "required": ["subject", "version"],
    },
    "Verdict": {
        "type": "object",
        "properties": {"is_compatible": FLAG, "messages": TEXTS},
        "required": ["is_compatible"],
    },
    "Level": {
        "type": "object",
        "properties": {"compatibilityLevel": {"enum": list(LEVELS)}},
        "required": ["compatibilityLevel"],
    },
    "SetLevel": {
        "type": "object",
        "properties": {"compatibility": {"enum": list(LEVELS)}},
        "required": ["compatibility"],
    },
    "Mode": {"type": "object", "properties": {"mode": {"enum": list(MODES)}}, "required": ["mode"]},
    "Health": {
        "type": "object",
        "properties": {"status": TEXT, "checks": {"type": "object", "additionalProperties": TEXT}},
        "required": ["status", "checks"],
    },
}
PATH = {
    "subject": {"type": "string", "minLength": 1, "maxLength": 512},
    "version": {"type": "string", "description": 'A number from 1, "latest" or "-1".'},
    "id": NUMBER,
    "guid": TEXT,
}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def content(schema: Schema) -> Schema:
    return {media.decode(): {"schema": schema} for media in GIVEN}


def operation(path: str, name: str, summary: str, answer: Schema, query: Mapping[str, Schema], body: str = "") -> Schema:
    """An operation object. `body` names the component that the request holds."""
    names = [segment[1:-1] for segment in path.split("/") if segment.startswith("{")]
    parameters = [{"name": one, "in": "path", "required": True, "schema": PATH[one]} for one in names]
    parameters += [{"name": one, "in": "query", "schema": schema} for one, schema in query.items()]
    statuses = sorted({*OF_ANY, *(OF_BODY if body else ()), *((409,) if name == "registering_register" else ())})
    responses: dict[str, Schema] = {"200": {"description": "Done.", "content": content(answer)}}
    for status in statuses:
        responses[str(status)] = {"description": FAULTS[status], "content": content(ref("RegistryError"))}
    made: Schema = {"operationId": name, "summary": summary, "parameters": parameters, "responses": responses}
    if body:
        made["requestBody"] = {"required": True, "content": content(ref(body))}
    return made


def page(name: str, summary: str, responses: Mapping[str, Schema]) -> Schema:
    """The operation object of one of the service's own pages."""
    return {"operationId": name, "summary": summary, "tags": ["operation"], "responses": dict(responses)}


def document(routes: Sequence[Route]) -> bytes:
    """The whole document, as JSON."""
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = dict(route.describe)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "fleetlog schema registry",
                "version": "1",
                "description": "The fleet's schemas, in the API of Confluent's Schema Registry.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "tags": [{"name": "operation"}],
            "paths": paths,
            "components": {"schemas": COMPONENTS},
        }
    )
