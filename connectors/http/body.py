"""Reading a request's body within its limits: bytes, gzip, nesting."""

import re
import zlib

import numpy as np

from connectors.http.exchange import Gone
from connectors.http.limits import Limits
from connectors.http.request import Fault, Request

GZIP_WINDOW = 31  # zlib's name for "gzip framing, any window"
INFLATE_STEP = 262_144
MOST_MEMBERS = 16  # gzip streams one after the other in one body; each costs a copy of the rest
RATIO_FLOOR = 65_536  # bytes that any small body may inflate to, whatever the ratio
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_MIDDLE = ord("|")  # one more than an opening brace, one less than a closing one
DEPTH_STEP = 262_144
_OTHER = bytes(set(range(256)) - set(b'{}[]"\\'))  # what is no bracket, quote or backslash


class BodyReader:
    """Reads bodies. One for all requests, since it also bounds what all of them hold together."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.buffered = 0

    async def read(self, request: Request) -> bytes:
        """The body, decompressed.

        Raises:
            Fault: 413 too large (as sent, or inflated), 415 an encoding other than gzip, 400 bad gzip or cut off, 429
                too many bodies are being read.
        """
        limit = self._limits.max_body_bytes
        length = request.content_length
        if length and int(length) > limit:  # the parser has seen to it that it is a number
            raise self._too_large()
        compressed = gzipped(request)
        body = await self._sent(request)
        if not compressed:
            return body
        inflated = inflate(body, limit, self._limits.max_gzip_ratio)
        self.hold(request, len(inflated) - len(body))
        return inflated

    async def as_sent(self, request: Request) -> bytes:
        """The body, not decompressed; it can be read again.

        Raises:
            Fault: as `read`.
        """
        body = await self._sent(request)
        self.release(request)  # who reads it again is counted again

        async def again() -> tuple[bytes, bool]:
            return body, False

        request.part = again
        return body

    def release(self, request: Request) -> None:
        """The request no longer holds its body."""
        self.buffered -= request.buffered
        request.buffered = 0

    async def _sent(self, request: Request) -> bytes:
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            try:
                part, more = await request.part()
            except Gone:
                raise _fault(400, "INCOMPLETE_BODY", "the connection was closed before the body had come") from None
            size += len(part)
            if size > self._limits.max_body_bytes:
                raise self._too_large()
            self.hold(request, len(part))
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def hold(self, request: Request, size: int) -> None:
        """The request holds so many bytes more.

        Raises:
            Fault: 429 all requests together hold too much.
        """
        if size > 0 and self.buffered + size > self._limits.max_buffered_bytes:
            raise Fault(429, "OVERLOADED", "too many large bodies are being read", retry_after=1)
        self.buffered += size
        request.buffered += size

    def _too_large(self) -> Fault:
        return _fault(413, "BODY_TOO_LARGE", f"a body may have {self._limits.max_body_bytes} bytes, as sent and inflated")


def gzipped(request: Request) -> bool:
    """Whether a body is compressed; raises Fault 415 for any other encoding."""
    encoding = request.content_encoding.lower()
    if encoding not in (b"", b"identity", b"gzip", b"x-gzip"):
        message = "a body may be encoded with gzip or not at all"
        accept = [(b"accept-encoding", b"gzip")]
        raise Fault(415, "UNSUPPORTED_ENCODING", message, [("header Content-Encoding", message)], headers=accept)
    return encoding in (b"gzip", b"x-gzip")


def _fault(status: int, code: str, detail: str) -> Fault:
    return Fault(status, code, detail, [("$", detail)])


def inflate(body: bytes, limit: int, ratio: float) -> bytes:
    """The bytes inside gzip members.

    Raises:
        Fault: 400 no gzip, or cut off; 413 more than `limit` bytes, or more than `ratio` times the size as sent.
    """
    allowed = min(limit, max(int(len(body) * ratio), RATIO_FLOOR))
    parts: list[bytes] = []
    size, rest = 0, body
    for _ in range(MOST_MEMBERS):
        member = zlib.decompressobj(GZIP_WINDOW)
        while not member.eof:
            try:
                part = member.decompress(rest, INFLATE_STEP)
            except zlib.error as error:
                raise _fault(400, "BAD_GZIP", f"the body is not gzip: {error}") from None
            size += len(part)
            if size > allowed:
                raise _fault(413, "BODY_TOO_LARGE", f"the body inflates to more than {allowed} bytes")
            parts.append(part)
            rest = member.unconsumed_tail
            if not part and not rest and not member.eof:
                raise _fault(400, "BAD_GZIP", "the gzip stream is cut off, or the body is empty")
        rest = member.unused_data
        if not rest:
            return b"".join(parts)
    raise _fault(400, "BAD_GZIP", f"the body has more than {MOST_MEMBERS} gzip members")


def too_deep(body: bytes, limit: int) -> bool:
    """Whether a JSON text nests its arrays and objects deeper than `limit`; False for what is not balanced: the parser
    says more of it.

    Most bodies are decided by a few passes of C code; of the others, the depth is counted along what is left when everything
    but brackets is gone, in steps that need little memory.
    """
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    shape = body.translate(_ONE_KIND, _OTHER).replace(b'""', b"")
    if b'"' in shape or b"\\" in shape:  # brackets or escapes inside of strings
        shape = _STRING.sub(b"", body).translate(_ONE_KIND, _OTHER)
    depth = 0
    for start in range(0, len(shape), DEPTH_STEP):
        signs = np.frombuffer(shape[start : start + DEPTH_STEP], np.uint8)
        depths = depth + np.cumsum(_MIDDLE - signs.astype(np.int64))
        if depths.max() > limit:
            return True
        depth = int(depths[-1])
    return False
