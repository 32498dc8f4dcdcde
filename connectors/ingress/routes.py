"""Routes of the device API and the service's own pages: every path, its handler, its OpenAPI description."""

from collections.abc import Callable, Mapping
from typing import Any

from connectors.http.peer import EVERYWHERE, ON_DATA, ON_PLAIN
from connectors.http.problems import problem
from connectors.http.request import Route
from connectors.ingress.device_api import DEVICE_ID, DeviceApi
from connectors.ingress.openapi import answers, body_of, path_parameter
from connectors.ingress.operations import Operations
from schemas.json_form import RequestForm

SUMMARIES = {
    "heartbeat": "Report a device's health",
    "telemetry": "Upload sensor readings",
    "events": "Upload an event that the device noticed",
}


def device_routes(devices: DeviceApi, forms: Mapping[str, RequestForm], allow: Callable[[str], None]) -> list[Route]:
    """Uploads and registrations, for callers whom `allow` lets through."""
    table = []
    for kind, summary in SUMMARIES.items():
        form = forms[kind]
        describe: dict[str, Any] = {
            "operationId": f"upload_{kind}",
            "summary": summary,
            "description": 'One upload, or a batch `{"records": [...]}`, answered after the broker\'s acknowledgement. '
            "boot_id and sequence identify an upload: a retry is answered with the first answer and not written again.",
            "tags": ["devices"],
            "parameters": [
                path_parameter("id", "The device's id.", {"type": "string", "pattern": f"^{DEVICE_ID.pattern}$"})
            ],
            "requestBody": body_of(kind, form),
            "responses": answers("AcceptedHeartbeat" if kind == "heartbeat" else "Accepted", batch=True),
        }
        limit = "heartbeat" if kind == "heartbeat" else "data"
        path, upload = f"/v1/devices/{{id}}/{kind}", devices.upload(kind)
        table.append(Route("POST", path, upload, problem, describe, allow=allow, listeners=ON_DATA, limit=limit))
    describe = {
        "operationId": "register_device",
        "summary": "Make a device known to the fleet",
        "description": "Idempotent by hardware_id. The device id is the one given, else the hardware id.",
        "tags": ["devices"],
        "requestBody": body_of("devices", forms["devices"], batch=False),
        "responses": answers("Accepted"),
    }
    return [*table, Route("POST", "/v1/devices", devices.register, problem, describe, allow=allow)]


def operation_routes(operations: Operations) -> list[Route]:
    """The service's own pages."""
    table = []
    for path, handler, summary, content in (
        ("/health", operations.ready, "Whether the ingress takes uploads", "Health"),
        ("/health/ready", operations.ready, "Whether the ingress takes uploads", "Health"),
        ("/health/live", operations.live, "Whether the process runs", "Health"),
        ("/metrics", operations.metrics, "Metrics for Prometheus", ""),
        ("/openapi.json", operations.openapi, "This document", ""),
        ("/asyncapi.json", operations.asyncapi, "The topics, as an AsyncAPI document", ""),
    ):
        describe = {
            "operationId": path.strip("/").replace("/", "_").replace(".", "_"),
            "summary": summary,
            "tags": ["operation"],
            "security": [],
            "responses": answers(content, faults=(503,) if handler == operations.ready else ()),
        }
        on = EVERYWHERE if content == "Health" else ON_PLAIN
        table.append(Route("GET", path, handler, problem, describe, public=True, listeners=on))
    return table
