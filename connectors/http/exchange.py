"""A request on its way to an answer, and answers as bytes."""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus

from connectors.http.request import Answer, Request, StreamedAnswer

STOPPING = "the server is stopping"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Gone(Exception):
    """The rest of a body will not come: the client is gone, or what it sent is no HTTP. The message says why."""


class Exchange:
    """A request of a connection. It is the request's source of body; `wanted` is called when its handler waits for more.

    Attributes:
        waiting: bytes of the body that have come and were not read by the handler.
        whole: all of the request has come.
        answered: the answer is out.
        gone: nobody waits for the answer.
        last: the connection ends with the answer.
        chunks: the client knows chunks (HTTP/1.1).
        streaming: the answer has begun and goes on while the request comes in.
        cut: why the rest of the body will not come, though the client waits for the answer's end.
    """

    __slots__ = (
        "_parts",
        "_waiter",
        "_wanted",
        "answered",
        "chunks",
        "cut",
        "gone",
        "last",
        "request",
        "streaming",
        "untold",
        "waiting",
        "whole",
    )

    def __init__(
        self, method: str, target: tuple[bytes, bytes], headers: dict[bytes, bytes], wanted: Callable[["Exchange"], None]
    ) -> None:
        """`target`: path and query; `wanted` is called when the handler waits for more of the body."""
        path, query = target
        self.request = Request(method, path, headers, self.part, query)
        self._wanted = wanted
        self._parts: list[bytes] = []
        self.waiting = 0
        self.whole = self.answered = self.gone = self.last = self.streaming = False
        self.chunks = True
        self.cut = ""
        self.untold = headers.get(b"expect", b"").lower() == b"100-continue"  # the client waits to be told to go on
        self._waiter: asyncio.Future[None] | None = None

    async def part(self) -> tuple[bytes, bool]:
        """What has come of the body since the last call, and whether there is more to come. Waits for something.

        Raises:
            Gone: it will not come.
        """
        if not self._parts and not self.whole and not self.gone and not self.cut:
            self._wanted(self)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.gone:
            raise Gone("the client is gone")
        if self.cut and not self._parts:
            raise Gone(self.cut)
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

    def cut_off(self, why: str) -> None:
        """No more of the body will come; the answer goes on to its end, and the connection ends with it."""
        self.cut, self.last = why, True
        self._wake()

    def close(self) -> None:
        """The answer is out: what was not read of the body is forgotten."""
        self.answered, self.streaming, self.request.streamed = True, False, False
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
    # What a 304 stands for has another length (RFC 9110, 8.6).
    length = b"" if answer.status == HTTPStatus.NOT_MODIFIED else b"content-length: %d\r\n" % len(answer.body)
    head = head_of(answer, request, length, last)
    return head if request.method == "HEAD" else head + answer.body


def head_of(answer: Answer | StreamedAnswer, request: Request, framing: bytes, last: bool) -> bytes:
    """The head of an answer; `framing` is the header that says where its body ends."""
    parts = [
        _STATUS_LINES[answer.status],
        b"content-type: %s\r\n" % answer.content_type,
        framing,
        b"x-correlation-id: %s\r\n" % request.correlation_id.encode(),
    ]
    parts += [b"%s: %s\r\n" % header for header in answer.headers]
    parts.append(b"connection: close\r\n\r\n" if last else b"\r\n")
    return b"".join(parts)
