"""A keep-alive HTTP/1.1 connection of a simulated device.

It stands on httptools because faults need the connection in hand (a request cut in two, an answer never read) and because
the load has to come from one core: see docs/benchmarks.md.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import cast
from urllib.parse import urlsplit

import httptools

RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends a reset
CUT_AFTER = 0.02  # seconds that a request that is to be cut gets to arrive


class Cut(StrEnum):
    """How a connection is broken on purpose."""

    DROP = "drop"  # closed after the whole request, the answer unread
    RESET = "reset"  # reset amid the request


class Lost(Exception):
    """No answer came. `reason`: unreachable, tls, lost, timeout, drop, reset."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Response:
    """`headers` by lower-case name."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    @property
    def retry_after(self) -> float:
        """Seconds that the server asked for; 0 without a number (its form as a date is not used by the API)."""
        text = self.headers.get(b"retry-after", b"")
        return float(text) if text.isdigit() else 0.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the ingress is. `head`: the header lines that every request carries."""

    host: str
    port: int
    tls: bool
    head: bytes

    @classmethod
    def parse(cls, url: str, headers: Mapping[str, str]) -> "Address":
        """Of a base URL.

        Raises:
            ValueError: it is no http(s) URL of a host.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http(s) URL: {url!r}")
        tls = parts.scheme == "https"
        head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": parts.netloc, **headers}.items())
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, head.encode())


class _Wire(asyncio.Protocol):
    """One TCP connection: a request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.alive = False
        self._answer: asyncio.Future[Response] | None = None
        self._start()

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._response = Response()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self.alive = True

    def expect(self) -> "asyncio.Future[Response]":
        self._start()
        self._answer = asyncio.get_running_loop().create_future()
        return self._answer

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.alive = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Lost("lost"))

    # What httptools calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self._response.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._response.body += body

    def on_message_complete(self) -> None:
        self._response.status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.alive = False
            self.transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._response)


class Connection:
    """A connection that is opened when it is needed and opened again when it was lost."""

    def __init__(self, address: Address, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: whom to trust, and the certificate to show; by default what the system trusts, and none."""
        self._address, self._timeout, self._tls = address, timeout, tls
        self._wire: _Wire | None = None

    async def post(
        self, path: str, body: bytes, cut: Cut | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Response:
        """Send a body, JSON unless `headers` say otherwise, and read the answer; with `cut` the connection is broken
        instead.

        Raises:
            Lost: no answer came.
        """
        lines = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        request = b"POST %b HTTP/1.1\r\n%b%b\r\n%b" % (path.encode(), self._address.head, head.encode(), body)
        try:
            async with asyncio.timeout(self._timeout):
                wire = await self._open()
                if cut is not None:
                    await self._break(wire, request, cut)
                answer = wire.expect()
                wire.transport.write(request)
                return await answer
        except TimeoutError:
            self.close()
            raise Lost("timeout") from None

    async def _open(self) -> _Wire:
        if self._wire is not None and self._wire.alive:
            return self._wire
        tls = (self._tls or ssl.create_default_context()) if self._address.tls else None
        loop = asyncio.get_running_loop()
        try:
            _, wire = await loop.create_connection(_Wire, self._address.host, self._address.port, ssl=tls)
        except ssl.SSLError as error:
            raise Lost("tls") from error
        except OSError as error:
            raise Lost("unreachable") from error
        self._wire = wire
        return wire

    async def _break(self, wire: _Wire, request: bytes, cut: Cut) -> None:
        wire.transport.write(request if cut is Cut.DROP else request[: len(request) // 2])
        await asyncio.sleep(CUT_AFTER)
        own = wire.transport.get_extra_info("socket")
        if cut is Cut.RESET and own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        wire.transport.abort()
        wire.alive = False
        raise Lost(cut.value)

    def close(self) -> None:
        if self._wire is not None and self._wire.alive:
            self._wire.transport.abort()
        if self._wire is not None:
            self._wire.alive = False
