"""The application: finds the route, checks the key, runs the handler, turns faults into answers, measures."""

import hmac
import logging
import time
from collections.abc import Sequence

from connectors.ingress.answers import problem
from connectors.ingress.body import BodyReader
from connectors.ingress.http import Answer, Fault, Render, Request, Route, Router
from connectors.ingress.metrics import IngressMetrics

log = logging.getLogger(__name__)


class IngressApp:
    """The application."""

    def __init__(self, routes: Sequence[Route], api_key: str, bodies: BodyReader, metrics: IngressMetrics) -> None:
        self._router, self._key = Router(routes), api_key.encode()
        self._bodies, self._metrics = bodies, metrics

    async def answer(self, request: Request) -> Answer:
        """The answer to a request, whatever it is."""
        started = time.perf_counter()
        render: Render = problem
        path = "none"
        try:
            route, request.arguments = self._router.find(request.method, request.raw_path)
            render, path = route.render, route.path
            if not route.public:
                self._authorize(request)
            answer = await route.handler(request)
        except Fault as fault:
            answer = (fault.render or render)(fault, request)
        except Exception:  # a bug: told as such, and logged whole
            log.exception("a request failed", extra={"correlation_id": request.correlation_id, "context": {"path": path}})
            answer = render(Fault(500, "INTERNAL", "the ingress failed; its log says more"), request)
        finally:
            self._bodies.release(request)
        self._metrics.answered(path, answer.status, time.perf_counter() - started)
        return answer

    def _authorize(self, request: Request) -> None:
        if request.authorization is None or not hmac.compare_digest(request.authorization, self._key):
            headers = [(b"www-authenticate", b'Bearer realm="fleetlog"')]
            detail = "an API key is needed: X-API-Key, or Authorization: Bearer"
            raise Fault(401, "UNAUTHORIZED", detail, [("header X-API-Key", "is missing or wrong")], headers=headers)
