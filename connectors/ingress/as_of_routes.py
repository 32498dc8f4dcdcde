"""The route of views as of a time, and its OpenAPI description."""

from typing import Any

from connectors.http.problems import problem
from connectors.http.request import Route
from connectors.ingress.as_of_api import DEFAULT_LIMIT, LONGEST, MOST, AsOfApi
from connectors.ingress.openapi import path_parameter, ref

Schema = dict[str, Any]
ABOUT = (
    "The state at a time by the devices' clocks (`at`), as it was known at another by the server's (`known_at`): the fold "
    "of exactly the records that had happened by the one and were received by the other. With `key` one document, or the "
    "rows of one device; otherwise pages, whose `next` (and Link) keeps both times."
)
FAULTS = {
    400: "A parameter is not understood, a time is in the future, or the path is malformed.",
    401: "No API key, or a wrong one.",
    403: "This API key may not read all that the view is made of.",
    404: "There is no such view; or nothing is known of the key by then; or the log begins later.",
    410: "The log and its snapshots no longer hold what is needed.",
    429: "Too many such questions wait: send the same request again after Retry-After seconds.",
    503: "The broker, the registry or Redis does not answer: send the same request again after Retry-After seconds.",
}
TIME = "RFC 3339 with a zone, a date (its first moment, UTC), `now`, or back from now, such as `-2h`."


def as_of_routes(api: AsOfApi) -> list[Route]:
    describe: Schema = {
        "operationId": "view_as_of",
        "summary": "A view at a time in the past",
        "description": ABOUT,
        "tags": ["views"],
        "parameters": [
            path_parameter("view", "Name of the view.", {"type": "string"}),
            _query("at", TIME, {"type": "string"}, required=True),
            _query("known_at", f"Only what was received by then counts; by default now. {TIME}", {"type": "string"}),
            _query("key", "The device, or the key of the view.", {"type": "string", "minLength": 1, "maxLength": LONGEST}),
            _query("limit", "Most documents of a page, or about so many rows.", _whole()),
            _query("after", "Where the page begins: as `next` says it.", {"type": "string", "minLength": 1}),
            _query("everywhere", "Look for the key in every partition, also where it does not lead.", {"type": "boolean"}),
        ],
        "responses": {
            "200": {
                "description": "Known.",
                "content": {
                    "application/json": {"schema": {"anyOf": [ref("AsOfAnswer"), ref("AsOfDocuments"), ref("AsOfRows")]}}
                },
                "headers": {"Link": {"description": "The next page.", "schema": {"type": "string"}}},
            },
            **{
                str(status): {
                    "description": text,
                    "content": {"application/problem+json": {"schema": ref("Problem")}},
                }
                for status, text in FAULTS.items()
            },
        },
    }
    return [Route("GET", "/v1/views/{view}/as-of", api.as_of, problem, describe)]


def _whole() -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT_LIMIT}


def _query(name: str, description: str, schema: Schema, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}
