"""The authority's HTTP service put together: routes, OpenAPI document, health, metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from connectors.http.app import HttpApp
from connectors.http.body import BodyReader
from connectors.http.problems import Problem, problem
from connectors.http.request import Answer, Answering, Handler, Request, Route
from connectors.ledger_http.api import LedgerApi, Pki, Shown, ShownEntry

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
METRICS = b"text/plain; version=0.0.4; charset=utf-8"
REF = "#/components/schemas/{name}"
Health = Callable[[], tuple[bool, object]]
GROUPS = 5  # of a tile's path: three of its number (up to 256 billion leaves), `000.p` and the width
FAULTS = {
    400: "The request can't be read.",
    404: "There is no such thing, or not yet under a signed head.",
    413: "The request is too large.",
    415: "An encoding that is not read.",
    429: "Too much is asked at once: ask again after Retry-After seconds.",
    500: "A bug; the log says more.",
    503: "Something that is needed is away: ask again after Retry-After seconds.",
}


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Limits (connectors.http.limits.Limits). Sizes are bytes, durations seconds."""

    request_deadline: float = 10.0
    max_body_bytes: int = 65_536  # an OCSP request has 100
    max_gzip_ratio: float = 10.0
    max_head_bytes: int = 16_384
    max_buffered_bytes: int = 8_000_000
    max_connections: int = 1_000
    read_seconds: float = 30.0


class LedgerService:
    """`answer` answers its requests. `health`: whether all is well, and what is to be told of it."""

    def __init__(self, options: ServiceOptions, shown: Shown, pki: Pki, health: Health, registry: CollectorRegistry) -> None:
        bodies = BodyReader(options)
        self._health, self._registry = health, registry
        latency = Histogram(
            "fleetlog_authority_request_seconds",
            "Time to answer a request",
            ("route", "status"),
            registry=registry,
            buckets=SECONDS,
        )
        self.routes = [*ledger_routes(LedgerApi(shown, pki, bodies)), *self._operations()]
        self._document = document(self.routes)
        self._app = HttpApp(
            "authority",
            self.routes,
            lambda request: "",
            bodies,
            lambda route, status, seconds: latency.labels(route, str(status)).observe(seconds),
        )

    @property
    def answer(self) -> Answering:
        return self._app.answer

    def _operations(self) -> list[Route]:
        health = _content({"type": "object"})
        states = {"200": {"description": "All is well.", **health}, "503": {"description": "It is not.", **health}}
        return [
            _route("GET", "/health", self._tell_health, "Whether the ledger is followed and decided", states),
            _route("GET", "/metrics", self._tell_metrics, "Metrics for Prometheus", _done("text/plain")),
            _route("GET", "/openapi.json", self._tell_document, "This document", _done("application/json")),
        ]

    async def _tell_health(self, request: Request) -> Answer:
        healthy, detail = self._health()
        return Answer(msgspec.json.encode(detail), 200 if healthy else 503)

    async def _tell_metrics(self, request: Request) -> Answer:
        return Answer(generate_latest(self._registry), content_type=METRICS)

    async def _tell_document(self, request: Request) -> Answer:
        return Answer(self._document)


def ledger_routes(api: LedgerApi) -> list[Route]:
    """All but the pages about the process itself."""
    text, data = _done("text/plain", 503), _done("application/octet-stream", 404, 503)
    entry = {"200": {"description": "Done.", **_content({"$ref": REF.format(name="ShownEntry")})}, **_faults(400, 404, 503)}
    binary = {"schema": {"type": "string", "format": "binary"}}
    files = {"application/pkix-crl": binary, "application/pkix-cert": binary}
    lists = {"200": {"description": "Done.", "content": files}, **_faults(404, 503)}
    answer = _done("application/ocsp-response", 400, 413, 415, 429, 503)
    asked = {"required": True, "content": {"application/ocsp-request": binary}}
    table = [
        _route("GET", "/ledger/checkpoint", api.checkpoint, "The newest signed tree head (C2SP tlog-checkpoint)", text),
        _route("GET", "/ledger/entry", api.entry, "A certificate's entry and proof", entry, _serial()),
        _route(
            "GET",
            "/pki/ca.pem",
            api.certificates,
            "The authorities' certificates",
            _done("application/pem-certificate-chain", 503),
        ),
        _route("GET", "/pki/{file}", api.pki_file, "KEY_ID.crl, KEY_ID-delta.crl, KEY_ID.crt (RFC 5280)", lists),
        _route("POST", "/pki/ocsp", api.ocsp_post, "OCSP (RFC 6960)", answer, {"requestBody": asked}),
        _route("GET", "/pki/ocsp/{request}", api.ocsp_get, "OCSP, the request in base64", answer),
    ]
    for groups in range(1, GROUPS + 1):
        path = "/ledger/tile/{level}/" + "/".join(f"{{n{group}}}" for group in range(1, groups + 1))
        table.append(_route("GET", path, api.tile, "A tile or entry bundle (C2SP tlog-tiles)", data))
    return table


def _route(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    responses: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> Route:
    names = [segment[1:-1] for segment in path.split("/") if segment.startswith("{")]
    within = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    describe = {
        "operationId": f"{method.lower()}{path}".translate(str.maketrans("/.{}", "____")),
        "summary": summary,
        "parameters": within,
        "responses": responses,
        **(more or {}),
    }
    return Route(method, path, handler, problem, describe, public=True)


def _serial() -> Mapping[str, Any]:
    schema = {"type": "string", "description": "In hexadecimal digits."}
    return {"parameters": [{"name": "serial", "in": "query", "required": True, "schema": schema}]}


def _content(schema: Mapping[str, Any], media_type: str = "application/json") -> dict[str, Any]:
    return {"content": {media_type: {"schema": schema}}}


def _done(media_type: str, *faults: int) -> dict[str, Any]:
    return {"200": {"description": "Done.", **_content({}, media_type)}, **_faults(*faults)}


def _faults(*statuses: int) -> dict[str, Any]:
    told = _content({"$ref": REF.format(name="Problem")}, "application/problem+json")
    return {str(status): {"description": FAULTS[status], **told} for status in (*statuses, 500)}


def document(routes: list[Route]) -> bytes:
    """The OpenAPI document, as JSON."""
    _, components = msgspec.json.schema_components((Problem, ShownEntry), ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = dict(route.describe)
    info = {
        "title": "fleetlog authority",
        "version": "1",
        "description": "The certificate ledger and what the authorities sign: public, read only.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    return msgspec.json.encode(
        {"openapi": "3.1.0", "info": info, "servers": [{"url": "/"}], "paths": paths, "components": {"schemas": components}}
    )
