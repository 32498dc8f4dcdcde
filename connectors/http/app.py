"""The application: finds the route, checks who asks, runs the handler, turns faults into answers, measures."""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from connectors.http.body import BodyReader
from connectors.http.problems import problem
from connectors.http.request import Answer, Fault, Render, Request, Route, Router, StreamedAnswer

log = logging.getLogger(__name__)

Authorize = Callable[[Request], str]
"""Who a request is from; raises Fault 401."""


class Guard(Protocol):
    """Looks at the requests of a listener."""

    async def identify(self, request: Request, route: Route) -> None:
        """Before all else: which device it is from, if any; raises Fault."""

    async def count(self, request: Request, route: Route) -> None:
        """When it is known who asks: whether too often; raises Fault."""


Observe = Callable[[str, int, float], None]
"""Told of each answer: the route's path, the status, seconds."""
NO_ROUTE = "none"


class Broken(Exception):
    """A handler failed in the middle of its answer, and its log says why."""


class HttpApp:
    """The application of a server. `name` is told to clients where a bug is answered, `otherwise` is how faults are told
    where no route says it."""

    def __init__(
        self,
        name: str,
        routes: Sequence[Route],
        authorize: Authorize,
        bodies: BodyReader,
        observe: Observe,
        otherwise: Render = problem,
    ) -> None:
        self._name, self._routes, self._authorize = name, routes, authorize
        self._router = Router(routes)
        self._guard: Guard | None = None
        self._bodies, self._observe, self._otherwise = bodies, observe, otherwise

    def on(self, listener: str, guard: Guard) -> "HttpApp":
        """The application as one listener has it: its routes alone, and `guard` before them."""
        routes = [route for route in self._routes if listener in route.listeners]
        made = HttpApp(self._name, routes, self._authorize, self._bodies, self._observe, self._otherwise)
        made._guard = guard
        return made

    async def answer(self, request: Request) -> Answer | StreamedAnswer:
        """The answer to a request, whatever it is."""
        started = time.perf_counter()
        render = self._otherwise
        path = NO_ROUTE
        try:
            route, request.arguments = self._router.find(request.method, request.raw_path)
            render, path = route.render, route.path
            if self._guard is not None:
                await self._guard.identify(request, route)
            if not route.public and request.identity is None:
                request.caller = self._authorize(request)
                if route.allow is not None:
                    route.allow(request.caller)
            if self._guard is not None:
                await self._guard.count(request, route)
            answer = await route.handler(request)
            if request.answer_headers:
                answer = replace(answer, headers=[*answer.headers, *request.answer_headers])
            if isinstance(answer, StreamedAnswer):
                parts = self._watched(request, answer, path, started)
                return replace(answer, parts=parts)
        except Fault as fault:
            fault.headers += request.answer_headers
            answer = (fault.render or render)(fault, request)
        except Exception:  # a bug: told as such, and logged whole
            log.exception("a request failed", extra=_of(request, path))
            answer = render(Fault(500, "INTERNAL", f"the {self._name} failed; its log says more"), request)
        self._bodies.release(request)
        self._observe(path, answer.status, time.perf_counter() - started)
        return answer

    async def _watched(
        self, request: Request, answer: StreamedAnswer, path: str, started: float
    ) -> AsyncGenerator[bytes, None]:
        """The parts of an answer; at their end, whatever it is, the request's body is released and the answer counted.

        Raises:
            Broken: the handler failed.
        """
        try:
            async with aclosing(answer.parts) as parts:
                async for part in parts:
                    yield part
        except Exception:  # a bug, after the status was told: all that is left is to break off
            log.exception("a request failed while it was answered", extra=_of(request, path))
            raise Broken from None
        finally:
            self._bodies.release(request)
            self._observe(path, answer.status, time.perf_counter() - started)


def _of(request: Request, path: str) -> dict[str, object]:
    return {"correlation_id": request.correlation_id, "context": {"path": path}}
