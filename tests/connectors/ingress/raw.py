"""Bytes over a socket: what no HTTP client would send."""

import contextlib
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.connectors.ingress.served import KEY


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(
    method: str = "POST",
    path: str | bytes = "/v1/devices/d/telemetry",
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    length: bool = True,
) -> bytes:
    """A request as bytes, with the key and a JSON content type unless `headers` say otherwise ("" leaves one out)."""
    fields = {"Host": "test", "X-API-Key": KEY, "Content-Type": "application/json"}
    if length:
        fields["Content-Length"] = str(len(body))
    fields |= headers or {}
    target = path if isinstance(path, bytes) else path.encode()
    head = b"".join(b"%s: %s\r\n" % (name.encode(), value.encode("latin-1")) for name, value in fields.items() if value)
    return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method.encode(), target, head, body)


def chunked(body: bytes, size: int = 50_000) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def connect(port: int, timeout: float = 20) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout)


def replies(connection: socket.socket, count: int) -> list[Reply]:
    """The next `count` answers. Fewer, if the server closes the connection before."""
    found: list[Reply] = []
    received = b""
    while len(found) < count:
        head, separator, rest = received.partition(b"\r\n\r\n")
        if separator:
            reply = _reply(head)
            size = int(reply.headers.get("content-length", 0))
            if len(rest) >= size:
                found.append(Reply(reply.status, reply.headers, rest[:size]))
                received = rest[size:]
                continue
        more = connection.recv(65_536)
        if not more:
            return found
        received += more
    return found


def ask(port: int, content: bytes) -> Reply:
    """Send `content` over a connection of its own; the one answer. The server may answer before it has read all."""
    with connect(port) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # closed already; its answer is still to be read
            connection.sendall(content)
        (reply,) = replies(connection, 1)
        return reply


def _reply(head: bytes) -> Reply:
    status, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(": ") for line in lines)
    return Reply(int(status.split(" ")[1]), {name.lower(): value for name, _, value in fields}, b"")
