"""What the front says of itself: health, metrics, its OpenAPI document, and Confluent's pages about the server."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from connectors.http.request import Answer, Fault, Request
from connectors.registry_front.metrics import CONTENT_TYPE, FrontMetrics

API_LEVEL = "7.4.0"  # the version of Confluent's Schema Registry whose API this is, for clients that look


class Operations:
    """The handlers. `demand_ready` raises Fault while the registry behind is away; `document` gives the OpenAPI document."""

    def __init__(
        self, demand_ready: Callable[[], Awaitable[None]], metrics: FrontMetrics, document: Callable[[], bytes]
    ) -> None:
        self._demand_ready, self._metrics, self._document = demand_ready, metrics, document

    async def root(self, request: Request) -> dict[str, str]:
        return {}

    async def contexts(self, request: Request) -> list[str]:
        return ["."]

    async def cluster(self, request: Request) -> dict[str, Any]:
        """The front does not know Kafka's cluster."""
        clusters = {"kafka-cluster": "", "schema-registry-cluster": "fleetlog"}
        return {"id": "", "scope": {"path": [], "clusters": clusters}}

    async def version(self, request: Request) -> dict[str, str]:
        return {"version": API_LEVEL, "commitId": "fleetlog"}

    async def live(self, request: Request) -> Answer:
        return _health("live", "ok")

    async def ready(self, request: Request) -> Answer:
        try:
            await self._demand_ready()
        except Fault as fault:
            return _health("not ready", fault.detail, 503)
        return _health("ready", "ok")

    async def metrics(self, request: Request) -> Answer:
        return Answer(self._metrics.text(), content_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Answer:
        return Answer(self._document())


def _health(status: str, registry: str, code: int = 200) -> Answer:
    headers = [(b"retry-after", b"1")] if code != 200 else []
    return Answer(msgspec.json.encode({"status": status, "checks": {"registry": registry}}), code, headers=headers)
