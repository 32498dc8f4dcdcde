"""The OpenAPI 3.1 document, made from the table of routes, the contract's request forms and the answers' types."""

from collections.abc import Sequence
from typing import Any

import msgspec

from connectors.alerting.documents import ALERTING_DOCUMENTS
from connectors.http.request import Route
from connectors.ingress.access_tokens import Issued
from connectors.ingress.answers import DOCUMENTS
from connectors.ingress.as_of_answers import AS_OF_DOCUMENTS
from connectors.ingress.log_answers import LOG_DOCUMENTS
from connectors.ingress.rest_answers import REST_DOCUMENTS
from connectors.ingress.v3_bodies import V3_BODIES
from connectors.ingress.v3_records_answers import V3_RECORD_DOCUMENTS
from connectors.ingress.v3_resources import V3_DOCUMENTS
from connectors.registration.bodies import REGISTRATION_BODIES
from connectors.registration.documents import REGISTRATION_DOCUMENTS
from schemas.json_form import RequestForm

REF = "#/components/schemas/{name}"
FAULTS = {
    400: "The body is not JSON, nests too deeply, or is bad gzip; or the path is malformed.",
    401: "No API key, or a wrong one.",
    403: "The API key is not for this.",
    409: "The same boot_id and sequence (or hardware_id) was used before with different content.",
    413: "The body is too large, or has too many records.",
    415: "A media type or encoding that is not taken.",
    422: "The body breaks the contract; `errors` names every place.",
    429: "More is on its way than can be held: send the same request again after Retry-After seconds.",
    503: "The broker is away or has not acknowledged in time: send the same request again after Retry-After seconds.",
}
OF_A_BATCH = (409, 413, 422, 429, 503)  # of which no upload was accepted; its results say why
Schema = dict[str, Any]
IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 255 visible ASCII characters, in quotes or not. The same request with the same key is carried out "
    "once: a retry is given the first answer, with the header Idempotent-Replayed.",
    "schema": {"type": "string"},
}
REPLAYED: Schema = {
    "Idempotent-Replayed": {
        "description": "There when the answer is that of an earlier request with the same idempotency key.",
        "schema": {"const": "true"},
    }
}


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
        if batch and status in OF_A_BATCH:
            content |= _json(ref("Results"))
        made[str(status)] = {"description": FAULTS[status], "content": content}
    return made


DESCRIBED = (
    *(*DOCUMENTS, *REST_DOCUMENTS, *V3_DOCUMENTS, *V3_BODIES, *V3_RECORD_DOCUMENTS, *LOG_DOCUMENTS, *AS_OF_DOCUMENTS),
    *(*REGISTRATION_DOCUMENTS, *REGISTRATION_BODIES, *ALERTING_DOCUMENTS, Issued),
)
"""Every document that an operation takes or answers with."""


def document(routes: Sequence[Route]) -> bytes:
    """The whole document, as JSON."""
    _, components = msgspec.json.schema_components(DESCRIBED, ref_template=REF)
    paths: dict[str, Schema] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = dict(route.describe)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "fleetlog ingress",
                "version": "1",
                "description": "Devices and Kafka-REST clients write to the fleet's log here; who may reads it by position.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{"apiKey": []}, {"bearer": []}],
            "tags": [
                {"name": name}
                for name in ("devices", "kafka-rest", "kafka-rest-v3", "log", "views", "registration", "operation")
            ],
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
