"""One HTTP/1.1 connection: requests in, answers out, in order, within bounds.

The parser is httptools (llhttp), which refuses what is ambiguous: both Content-Length and Transfer-Encoding, two of the
first, bare line feeds. What it does not bound is bounded here: the head and trailers, requests sent ahead of their answers,
the body that is held before its handler reads it, and the time to send a request or to take an answer.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

import httptools

from connectors.ingress.http import Answer, Request
from connectors.ingress.options import Options

HIGH_WATER = 65_536  # bytes of a body that wait for their handler; more are left to the kernel
MOST_AHEAD = 32  # requests of one connection that wait for the one in hand
IDLE_SECONDS = 75.0  # a connection without a request is closed after this long
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

Answering = Callable[[Request], Awaitable[Answer]]


class HeadTooLarge(Exception):
    """Request line and headers, or what follows a chunked body, are larger than allowed."""


class TooManyAhead(Exception):
    """A client sends requests faster than it waits for answers."""


class BadTarget(Exception):
    """The request's target is no path."""


class Exchange:
    """A request and its way to an answer. It is the request's source of body."""

    __slots__ = ("_connection", "_waiter", "answered", "close", "expects", "gone", "parts", "request", "waiting", "whole")

    def __init__(self, connection: "Connection", method: str, path: bytes, headers: dict[bytes, bytes]) -> None:
        self._connection = connection
        self.request = Request(method, path, headers, self.part)
        self.parts: list[bytes] = []  # of the body, not yet read
        self.waiting = 0  # bytes in `parts`
        self.whole = self.answered = self.gone = self.close = False
        self.expects = headers.get(b"expect", b"").lower() == b"100-continue"
        self._waiter: asyncio.Future[None] | None = None

    async def part(self) -> tuple[bytes, bool]:
        """What has come of the body since the last call, and whether more will come.

        Raises:
            ConnectionError: it will not: the client is gone, or was refused.
        """
        if not self.parts and not self.whole and not self.gone:
            if self.expects:
                self._connection.write(CONTINUE)
            self.expects = False
            self._connection.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.gone:
            raise ConnectionError
        body = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        self.parts.clear()
        self.waiting = 0
        return body, not self.whole

    def add(self, part: bytes) -> None:
        self.parts.append(part)
        self.waiting += len(part)
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Connection(asyncio.Protocol):
    """One connection of a server; `connections` is where it is listed while it lasts, `answer` the application."""

    def __init__(self, options: Options, answer: Answering, connections: "set[Connection]") -> None:
        self._options, self._answer, self._connections = options, answer, connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._in_hand: Exchange | None = None
        self._receiving: Exchange | None = None  # whose body comes next; None while its head is read
        self._ahead: deque[Exchange] = deque()
        self._task: asyncio.Task[None] | None = None
        self._paused = self._ending = self._continued = self._progress = False
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0  # since the last byte of a body: those of a head, of trailers, of chunk extensions
        self._refused: tuple[int, str, str] | None = None
        self._reading_since: float | None = None
        self._idle_since: float | None = None
        self._stuck_since: float | None = None  # since when the client takes no answer

    # --- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._connections.add(self)
        self._idle_since = time.monotonic()
        if len(self._connections) > self._options.max_connections:
            self._refuse(503, "TOO_MANY_CONNECTIONS", "all connections are in use")

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._drop()

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing() or self._ending:
            return
        self._progress = False
        try:
            self._feed(data)
        except (httptools.HttpParserError, BadTarget):
            status, code, detail = self._refused or (400, "INVALID_HTTP", "the request is not HTTP/1.1")
            self._refuse(status, code, detail)
            return
        if not self._progress and self._reading_since is not None:
            self._head_bytes += len(data)
            if self._head_bytes > self._options.max_head_bytes:
                self._refuse(*self._head_too_large())

    def pause_writing(self) -> None:
        self._stuck_since = time.monotonic()

    def resume_writing(self) -> None:
        self._stuck_since = None

    # --- the parser's calls

    def on_message_begin(self) -> None:
        if self._continued:
            return
        self._url, self._headers, self._receiving = b"", {}, None
        self._progress, self._head_bytes = True, 0
        self._reading_since, self._idle_since = time.monotonic(), None

    def on_url(self, url: bytes) -> None:
        if not self._continued:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._receiving is None:  # else it is a trailer, or repeated for the parser's sake
            self._headers[name.lower()] = value
            self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        if self._continued:
            self._continued = False
            return
        if self._head_bytes + len(self._url) > self._options.max_head_bytes:
            self._refused = self._head_too_large()
            raise HeadTooLarge
        if len(self._ahead) >= MOST_AHEAD:
            self._refused = (400, "TOO_MANY_AHEAD", f"{MOST_AHEAD} requests wait for their answers already")
            raise TooManyAhead
        exchange = Exchange(self, self._parser.get_method().decode(), _path(self._url), self._headers)
        exchange.close = not self._parser.should_keep_alive() or self._parser.get_http_version() == "1.0"
        self._receiving, self._head_bytes = exchange, 0
        if self._in_hand is None:
            self._begin(exchange)
        else:
            self._ahead.append(exchange)
            self._pause_reading()

    def on_body(self, part: bytes) -> None:
        self._progress, self._head_bytes = True, 0
        exchange = self._receiving
        if exchange is not None and not exchange.answered:
            exchange.add(part)
            if exchange.waiting > HIGH_WATER:
                self._pause_reading()

    def on_message_complete(self) -> None:
        exchange = self._receiving
        if exchange is None or (self._parser.should_upgrade() and _has_body(self._headers)):
            return
        self._receiving = self._reading_since = None
        exchange.whole = True
        exchange.wake()
        if exchange.answered:
            self._rest()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # No other protocol is spoken here, so the request is an ordinary one (RFC 9110, 7.8); Java's HttpClient asks
            # for h2c with every first request. The parser stopped after the head, and another one reads on from there.
            method, end = self._parser.get_method(), upgrade.args[0]
            if method == b"CONNECT":
                raise BadTarget from None
            self._parser = httptools.HttpRequestParser(self)
            if self._receiving is not None:
                length, coding = self._headers.get(b"content-length"), self._headers.get(b"transfer-encoding")
                framing = b"content-length: " + length if length else b"transfer-encoding: " + (coding or b"")
                self._continued = True
                self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            if len(data) > end:
                self._feed(data[end:])

    # --- requests

    def _begin(self, exchange: Exchange) -> None:
        self._in_hand = exchange
        self._task = asyncio.get_running_loop().create_task(self._respond(exchange))

    async def _respond(self, exchange: Exchange) -> None:
        request = exchange.request
        answer = await self._answer(request)
        if exchange.gone:
            return
        # A client that was not told to go on may send the body or leave it out, so what follows can't be understood.
        unclear = exchange.expects and not exchange.whole and not exchange.parts
        close = exchange.close or self._ending or unclear
        self._transport.write(_bytes_of(answer, request, close))
        exchange.answered = True
        exchange.parts.clear()
        self._in_hand = self._task = None
        if close and (exchange.whole or unclear):
            self._end()
        elif exchange.whole:
            self._rest()
        self.resume_reading()  # what is left of a body that was refused early is read and forgotten

    def _rest(self) -> None:
        """An answer is out and its request all in: go on with the next, or wait for one."""
        if self._ending:
            self._end()
        elif self._ahead and self._in_hand is None:
            self._begin(self._ahead.popleft())
        elif self._in_hand is None and self._reading_since is None:
            self._idle_since = time.monotonic()

    # --- ends

    def shut_down(self) -> None:
        """Close as soon as the request in hand is answered."""
        self._ending = True
        if self._in_hand is None:
            self._end()

    def abort(self) -> None:
        """Close at once."""
        self._drop()
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def check(self, now: float) -> None:
        """End the connection if it takes too long; `now` by time.monotonic."""
        most = self._options.read_seconds
        if self._stuck_since is not None and now - self._stuck_since > most:
            self._transport.abort()
        elif self._transport.is_closing():
            return
        elif self._reading_since is not None and now - self._reading_since > most:
            self._refuse(408, "REQUEST_TIMEOUT", f"the request did not come whole within {most:g} s")
        elif self._idle_since is not None and now - self._idle_since > IDLE_SECONDS:
            self._end()

    def _head_too_large(self) -> tuple[int, str, str]:
        return 431, "HEAD_TOO_LARGE", f"request line and headers may have {self._options.max_head_bytes} bytes"

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer what is no request (any more), and close. A request in hand that was whole is done, but its answer is not
        sent any more: after it would come the answer to what never became a request, and clients tell them by order."""
        if self._in_hand is None or not self._in_hand.whole:
            self._transport.write(raw_problem(status, code, detail))
        self._drop()
        self._end()

    def _drop(self) -> None:
        for exchange in (self._in_hand, *self._ahead):
            if exchange is not None:
                exchange.gone = True
                exchange.wake()
        self._ahead.clear()

    def _end(self) -> None:
        self._ending = True
        self._transport.close()

    # --- flow

    def write(self, content: bytes) -> None:
        self._transport.write(content)

    def resume_reading(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()


def raw_problem(status: int, code: str, detail: str) -> bytes:
    """A whole answer to what never became a request. The connection is closed after it."""
    phrase = HTTPStatus(status).phrase
    errors = [{"path": "request", "message": detail}]
    told = {"type": "about:blank", "title": phrase, "status": status, "detail": detail, "code": code, "errors": errors}
    body = json.dumps(told).encode()
    retry = "retry-after: 1\r\n" if status == 503 else ""
    head = f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n{retry}connection: close\r\n\r\n"
    return _STATUS_LINES[status] + head.encode() + body


def _bytes_of(answer: Answer, request: Request, close: bool) -> bytes:
    parts = [
        _STATUS_LINES[answer.status],
        b"content-type: %s\r\ncontent-length: %d\r\n" % (answer.content_type, len(answer.body)),
        b"x-correlation-id: %s\r\n" % request.correlation_id.encode(),
    ]
    parts += [b"%s: %s\r\n" % header for header in answer.headers]
    parts.append(b"connection: close\r\n\r\n" if close else b"\r\n")
    if request.method != "HEAD":
        parts.append(answer.body)
    return b"".join(parts)


def _path(target: bytes) -> bytes:
    if not target.startswith(b"/"):
        if not target.startswith((b"http://", b"https://")):
            raise BadTarget
        return cast(bytes, httptools.parse_url(target).path or b"/")
    return target.partition(b"?")[0]


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0") != b""
