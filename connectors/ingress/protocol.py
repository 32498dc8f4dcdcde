"""uvicorn's HTTP protocol with bounds that it has not: size of the head, number of connections, time to send a request."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from connectors.ingress.options import Options

_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large", 503: "Service Unavailable"}


class HeadTooLarge(Exception):
    """Request line and headers are larger than allowed."""


def raw_problem(status: int, code: str, detail: str) -> bytes:
    """A whole response for what is refused before there is a request. The connection is closed after it."""
    told = {"type": "about:blank", "title": _PHRASES[status], "status": status, "detail": detail, "code": code, "errors": []}
    body = json.dumps(told).encode()
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
    )
    retry = "retry-after: 1\r\n" if status == 503 else ""
    return f"{head}{retry}connection: close\r\n\r\n".encode() + body


class BoundedProtocol(HttpToolsProtocol):  # type: ignore[misc]  # uvicorn is untyped to mypy here
    """One connection. Subclass it with `options` set (`bounded`)."""

    options: Options

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._receiving = self._in_head = self._head_refused = False
        self._head_bytes = 0
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.options.max_connections:
            self._refuse(503, "TOO_MANY_CONNECTIONS", "all connections are in use")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        in_head_before = self._in_head
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data) if in_head_before else 0
            if self._head_bytes > self.options.max_head_bytes:
                self._head_refused = True
                self.send_400_response("")
                return
        if not self._receiving:
            self._stop_clock()
        elif self._reading is None and not self.transport.is_closing():
            self._reading = self.loop.call_later(self.options.read_seconds, self._too_slow)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._receiving = self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.options.max_head_bytes:
            self._head_refused = True
            raise HeadTooLarge
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._receiving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._head_refused:
            most = self.options.max_head_bytes
            self._refuse(431, "HEAD_TOO_LARGE", f"request line and headers may have {most} bytes")
        else:
            self._refuse(400, "INVALID_HTTP", "the request is not HTTP/1.1")

    def _too_slow(self) -> None:
        self._reading = None
        if not self.transport.is_closing():
            self._refuse(408, "REQUEST_TIMEOUT", f"the request did not come whole within {self.options.read_seconds:g} s")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # what the handler of a request in hand answers has no reader any more
            self.cycle.message_event.set()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(raw_problem(status, code, detail))
        self.transport.close()

    def _stop_clock(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


def bounded(options: Options) -> type[BoundedProtocol]:
    """The protocol class of one server."""
    return type("BoundedIngressProtocol", (BoundedProtocol,), {"options": options})
