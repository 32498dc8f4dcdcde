"""A request on its way to an answer, and answers as bytes."""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus

from connectors.ingress.http import Answer, Request

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Gone(Exception):
    """The rest of a body will not come: the client is gone, or what it sent is no HTTP."""


class Exchange:
    """A request of a connection. It is the request's source of body; `wanted` is called when its handler waits for more.

    Attributes:
        waiting: bytes of the body that have come and were not read by the handler.
        whole: all of the request has come.
        answered: the answer is out.
        gone: nobody waits for the answer.
        last: the connection ends with the answer.
    """

    __slots__ = ("_parts", "_waiter", "_wanted", "answered", "gone", "last", "request", "untold", "waiting", "whole")

    def __init__(
        self, method: str, path: bytes, headers: dict[bytes, bytes], wanted: Callable[["Exchange"], None], last: bool
    ) -> None:
        self.request = Request(method, path, headers, self.part)
        self._wanted, self.last = wanted, last
        self._parts: list[bytes] = []
        self.waiting = 0
        self.whole = self.answered = self.gone = False
        self.untold = headers.get(b"expect", b"").lower() == b"100-continue"  # the client waits to be told to go on
        self._waiter: asyncio.Future[None] | None = None

    async def part(self) -> tuple[bytes, bool]:
        """What has come of the body since the last call, and whether there is more to come. Waits for something.

        Raises:
            Gone: it will not come.
        """
        if not self._parts and not self.whole and not self.gone:
            self._wanted(self)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.gone:
            raise Gone
        return self._taken(), not self.whole

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self.waiting += len(part)
        self.untold = False
        self._wake()

    def complete(self) -> None:
        self.whole, self.untold = True, False
        self._wake()

    def drop(self) -> None:
        self.gone = True
        self._wake()

    def close(self) -> None:
        """The answer is out: what was not read of the body is forgotten."""
        self.answered = True
        self._taken()

    def _taken(self) -> bytes:
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self.waiting = 0
        return body

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def raw_problem(status: int, code: str, detail: str) -> bytes:
    """A whole answer to what never became a request. The connection is closed after it."""
    phrase = HTTPStatus(status).phrase
    errors = [{"path": "request", "message": detail}]
    told = {"type": "about:blank", "title": phrase, "status": status, "detail": detail, "code": code, "errors": errors}
    body = json.dumps(told).encode()
    retry = "retry-after: 1\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n{retry}connection: close\r\n\r\n"
    return _STATUS_LINES[status] + head.encode() + body


def bytes_of(answer: Answer, request: Request, last: bool) -> bytes:
    """An answer as it is sent; `last`: the connection is closed after it."""
    parts = [
        _STATUS_LINES[answer.status],
        b"content-type: %s\r\ncontent-length: %d\r\n" % (answer.content_type, len(answer.body)),
        b"x-correlation-id: %s\r\n" % request.correlation_id.encode(),
    ]
    parts += [b"%s: %s\r\n" % header for header in answer.headers]
    parts.append(b"connection: close\r\n\r\n" if last else b"\r\n")
    if request.method != "HEAD":
        parts.append(answer.body)
    return b"".join(parts)
