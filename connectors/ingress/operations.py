"""The service's own pages: health, metrics, the OpenAPI and AsyncAPI documents."""

from collections.abc import Callable

from connectors.http.request import Answer, Request
from connectors.ingress.answers import Health, encoder
from connectors.ingress.metrics import CONTENT_TYPE, IngressMetrics

OK = "ok"


class Operations:
    """The handlers. `checks` says for each part "ok" or what is wrong; the others give the documents of these names."""

    def __init__(
        self,
        checks: Callable[[], dict[str, str]],
        metrics: IngressMetrics,
        openapi: Callable[[], bytes],
        asyncapi: Callable[[], bytes],
    ) -> None:
        self._checks, self._metrics, self._openapi, self._asyncapi = checks, metrics, openapi, asyncapi

    async def live(self, request: Request) -> Answer:
        return Answer(encoder.encode(Health("live", {})))

    async def ready(self, request: Request) -> Answer:
        checks = self._checks()
        if all(found == OK for found in checks.values()):
            return Answer(encoder.encode(Health("ready", checks)))
        return Answer(encoder.encode(Health("not ready", checks)), 503, headers=[(b"retry-after", b"1")])

    async def metrics(self, request: Request) -> Answer:
        return Answer(self._metrics.text(), content_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Answer:
        return Answer(self._openapi())

    async def asyncapi(self, request: Request) -> Answer:
        return Answer(self._asyncapi())
