"""One HTTP/1.1 connection: requests in, answers out, in order, within bounds.

The parser is httptools (llhttp), which refuses what is ambiguous: both Content-Length and Transfer-Encoding, two of the
first, bare line feeds. What it does not bound is bounded here: the head and trailers, requests sent ahead of their answers,
the body that is held before its handler reads it, and the time to send a request or to take an answer.
"""

import asyncio
import time
from collections import deque
from typing import cast

import httptools

from connectors.http import streaming
from connectors.http.exchange import STOPPING, Exchange, bytes_of, raw_problem
from connectors.http.limits import Limits
from connectors.http.peer import NOBODY, peer_of
from connectors.http.request import Answer, Answering
from connectors.http.target import Refused, add_header, check_host, has_body, split

HIGH_WATER = 65_536  # bytes of a body that wait for their handler; more are left to the kernel
MOST_AHEAD = 32  # requests of one connection that wait for the one in hand
IDLE_SECONDS = 75.0  # a connection without a request is closed after this long
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection of a server; `connections` is where it is listed while it lasts, `answer` the application."""

    def __init__(self, limits: Limits, answer: Answering, connections: "set[Connection]") -> None:
        self._limits, self._answer, self._connections = limits, answer, connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._loop: asyncio.AbstractEventLoop
        self._in_hand: Exchange | None = None  # the request that is being answered
        self._ahead: deque[Exchange] = deque()  # those after it
        self._receiving: Exchange | None = None  # the one whose body comes now
        self._task: asyncio.Task[None] | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._head_bytes = 0  # since the last byte of a body: those of a head, of trailers, of chunk extensions
        self._progress = False  # a message began or a piece of a body came with the bytes in hand
        self._resumed = False  # the parser is being told of a head that another has read
        self._refused: Refused | None = None  # why a callback of the parser failed
        self._deaf = False  # what else comes in is not looked at
        self._last_words = b""
        self._paused = False
        self._reading_since: float | None = None
        self._idle_since: float | None = None
        self._outflow = streaming.Outflow()
        self.peer = NOBODY

    # --- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self.peer = peer_of(self._transport)
        self._loop = asyncio.get_running_loop()
        self._connections.add(self)
        self._idle_since = time.monotonic()
        if len(self._connections) > self._limits.max_connections:
            self._refuse(Refused(503, "TOO_MANY_CONNECTIONS", "all connections are in use"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._deaf = True
        for exchange in (self._in_hand, *self._ahead):
            if exchange is not None:
                exchange.drop()
        self._ahead.clear()
        self._outflow.free()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._progress = False
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refused or Refused(400, "INVALID_HTTP", "the request is not HTTP/1.1"))
            return
        if not self._progress and self._reading_since is not None:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.max_head_bytes:
                self._refuse(self._head_too_large())

    def pause_writing(self) -> None:
        self._outflow.stuck_since = time.monotonic()

    def resume_writing(self) -> None:
        self._outflow.free()
        self._go_on()

    # --- the parser's calls

    def on_message_begin(self) -> None:
        if not self._resumed:
            self._url, self._headers, self._receiving = b"", {}, None
            self._progress, self._head_bytes = True, 0
            self._reading_since, self._idle_since = time.monotonic(), None

    def on_url(self, url: bytes) -> None:
        if not self._resumed:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._receiving is None:  # else it is a trailer, or repeated for the parser's sake
            add_header(self._headers, name.lower(), value)
            self._head_bytes += len(name) + len(value)

    def on_headers_complete(self) -> None:
        if self._resumed:
            self._resumed = False
            return
        parser = self._parser
        try:
            self._check_head()
            target = split(self._url)
        except Refused as refused:
            self._refused = refused
            raise
        exchange = Exchange(parser.get_method().decode(), target, self._headers, self._wanted)
        exchange.request.peer = self.peer
        exchange.chunks = parser.get_http_version() != "1.0"
        exchange.last = not parser.should_keep_alive() or not exchange.chunks
        self._receiving, self._head_bytes = exchange, 0
        if self._in_hand is None and self._outflow.stuck_since is None:
            self._begin(exchange)
        else:
            self._ahead.append(exchange)
            self._pause_reading()

    def on_body(self, part: bytes) -> None:
        self._progress, self._head_bytes = True, 0
        exchange = self._receiving
        if exchange is not None and not exchange.answered:
            exchange.add(part)
            if exchange.request.streamed:
                self._reading_since = time.monotonic()
            if exchange.waiting > HIGH_WATER:
                self._pause_reading()

    def on_message_complete(self) -> None:
        exchange = self._receiving
        if exchange is None or (self._parser.should_upgrade() and has_body(self._headers)):
            return
        self._receiving = self._reading_since = None
        exchange.complete()
        if exchange.answered and exchange.last:
            self._end()
        elif exchange.answered:
            self._go_on()

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # No other protocol is spoken here, so the request is an ordinary one (RFC 9110, 7.8); Java's HttpClient asks
            # for h2c with its first request. The parser has stopped after the head: another one reads on from there.
            end: int = upgrade.args[0]
            self._parser = httptools.HttpRequestParser(self)
            if self._receiving is not None:
                length, coding = self._headers.get(b"content-length"), self._headers.get(b"transfer-encoding", b"")
                framing = b"transfer-encoding: " + coding if length is None else b"content-length: " + length
                self._resumed = True
                self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
            if len(data) > end:
                self._feed(data[end:])

    # --- requests

    def _begin(self, exchange: Exchange) -> None:
        self._in_hand = exchange
        self._task = self._loop.create_task(self._respond(exchange))

    async def _respond(self, exchange: Exchange) -> None:
        answer = await self._answer(exchange.request)
        if exchange.gone and isinstance(answer, Answer):
            return
        if not isinstance(answer, Answer):
            self._wanted(exchange)  # nothing but the answer may be written once it has begun
        # A client that was not told to go on may send the body or leave it out: what follows can't be understood.
        nothing_after = self._deaf and not self._ahead and not self._last_words
        exchange.last = exchange.last or exchange.untold or nothing_after
        if isinstance(answer, Answer):
            self._transport.write(bytes_of(answer, exchange.request, exchange.last))
        else:
            await streaming.send(self._transport, exchange, answer, self._outflow)
            if exchange.gone:
                return
        exchange.close()
        self._in_hand = self._task = None
        if exchange.last and (exchange.whole or exchange.untold or exchange.cut):
            self._end()
        elif exchange.whole:
            self._go_on()
        self._resume_reading()  # what is left of a body that was refused early is read and forgotten

    def _go_on(self) -> None:
        """Nothing is in hand: the next request, or the end, or wait. While answers are not taken, wait."""
        if self._in_hand is not None or self._outflow.stuck_since is not None:
            return
        if self._ahead:
            self._begin(self._ahead.popleft())
        elif self._deaf:
            self._end()
        elif self._reading_since is None:
            self._idle_since = time.monotonic()

    # --- ends

    def shut_down(self) -> None:
        """Close as soon as the requests that have come are answered."""
        if self._receiving is None:
            self._deaf = True
            if self._in_hand is None:
                self._end()
        elif self._receiving.streaming:
            self._deaf = True
            self._receiving.cut_off(STOPPING)
        else:
            self._receiving.last = True

    def abort(self) -> None:
        """Close at once."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def check(self, now: float) -> None:
        """End the connection if it takes too long; `now` by time.monotonic."""
        most = self._limits.read_seconds
        if self._outflow.stuck_since is not None and now - self._outflow.stuck_since > most:
            self._transport.abort()
        elif self._deaf:
            return
        elif self._reading_since is not None and now - self._reading_since > most and not self._held_back():
            self._refuse(Refused(408, "REQUEST_TIMEOUT", f"the request did not come whole within {most:g} s"))
        elif self._idle_since is not None and now - self._idle_since > IDLE_SECONDS:
            self._end()

    def _refuse(self, why: Refused) -> None:
        """Answer what can't become a request, after the answers to those before it, and close."""
        self._deaf = True
        broken = self._receiving
        if broken is not None and broken.streaming:
            broken.cut_off(why.args[2])
            return
        if broken is None or not broken.answered:
            self._last_words = raw_problem(*why.args)
        if broken is not None:
            broken.drop()
            if broken is self._in_hand:
                self._in_hand = None
            elif broken in self._ahead:
                self._ahead.remove(broken)
        if self._in_hand is None:
            self._end()

    def _end(self) -> None:
        self._deaf = True
        if self._last_words:
            self._transport.write(self._last_words)
            self._last_words = b""
        self._transport.close()

    def _check_head(self) -> None:
        if self._head_bytes + len(self._url) > self._limits.max_head_bytes:
            raise self._head_too_large()
        check_host(self._headers, self._parser.get_http_version())
        if len(self._ahead) >= MOST_AHEAD:
            raise Refused(400, "TOO_MANY_AHEAD", f"{MOST_AHEAD} requests wait for their answers already")

    def _head_too_large(self) -> Refused:
        return Refused(431, "HEAD_TOO_LARGE", f"request line and headers may have {self._limits.max_head_bytes} bytes")

    # --- flow

    def _wanted(self, exchange: Exchange) -> None:
        if exchange.untold:
            self._transport.write(CONTINUE)
            exchange.untold = False
        self._resume_reading()

    def _resume_reading(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            if self._receiving is not None and self._receiving.request.streamed:
                self._reading_since = time.monotonic()
            self._transport.resume_reading()

    def _pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _held_back(self) -> bool:
        """Whether nothing comes because the answer takes its time."""
        return self._paused and self._receiving is not None and self._receiving.request.streamed
