"""Reading a request's body within its limits: bytes, gzip, nesting."""

import re
import zlib

from connectors.ingress.http import Fault, Request
from connectors.ingress.options import Options

GZIP_WINDOW = 31  # zlib's name for "gzip framing, any window"
INFLATE_STEP = 262_144
RATIO_FLOOR = 65_536  # bytes that any small body may inflate to, whatever the ratio
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_ONE_KIND = bytes.maketrans(b"[]", b"{}")
_OTHER = bytes(set(range(256)) - set(b'{}[]"\\'))  # what is no bracket, quote or backslash


class BodyReader:
    """Reads bodies. One for all requests, since it also bounds what all of them hold together."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.buffered = 0

    async def read(self, request: Request) -> bytes:
        """The body, decompressed.

        Raises:
            Fault: 413 too large (as sent, or inflated), 415 an encoding other than gzip, 400 bad gzip or cut off, 503
                too many bodies are being read.
        """
        limit = self._options.max_body_bytes
        length = request.content_length
        if length and length.isdigit() and int(length) > limit:
            raise self._too_large()
        message = await request.receive()
        body = message.get("body", b"")
        if message.get("more_body", False):
            body = await self._rest(request, bytearray(body))
        elif message["type"] == "http.disconnect":
            raise Fault(400, "INCOMPLETE_BODY", "the connection was closed before the body had come")
        if len(body) > limit:
            raise self._too_large()
        encoding = request.content_encoding
        if not encoding or encoding == b"identity":
            return bytes(body)
        if encoding.lower() not in (b"gzip", b"x-gzip"):
            accept = [(b"accept-encoding", b"gzip")]
            raise Fault(415, "UNSUPPORTED_ENCODING", "a body may be encoded with gzip or not at all", headers=accept)
        return inflate(bytes(body), limit, self._options.max_gzip_ratio)

    def release(self, request: Request) -> None:
        """The request no longer holds its body."""
        self.buffered -= request.buffered
        request.buffered = 0

    async def _rest(self, request: Request, body: bytearray) -> bytearray:
        self._hold(request, len(body))
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise Fault(400, "INCOMPLETE_BODY", "the connection was closed before the body had come")
            part = message.get("body", b"")
            self._hold(request, len(part))
            body += part
            if len(body) > self._options.max_body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return body

    def _hold(self, request: Request, size: int) -> None:
        if self.buffered + size > self._options.max_buffered_bytes:
            raise Fault(503, "OVERLOADED", "too many large bodies are being read", retry_after=1)
        self.buffered += size
        request.buffered += size

    def _too_large(self) -> Fault:
        return Fault(413, "BODY_TOO_LARGE", f"a body may have {self._options.max_body_bytes} bytes, as sent and inflated")


def inflate(body: bytes, limit: int, ratio: float) -> bytes:
    """The bytes inside gzip members.

    Raises:
        Fault: 400 no gzip, or cut off; 413 more than `limit` bytes, or more than `ratio` times the size as sent.
    """
    allowed = min(limit, max(int(len(body) * ratio), RATIO_FLOOR))
    parts: list[bytes] = []
    size, rest = 0, body
    while rest:
        member = zlib.decompressobj(GZIP_WINDOW)
        while not member.eof:
            try:
                part = member.decompress(rest, INFLATE_STEP)
            except zlib.error as error:
                raise Fault(400, "BAD_GZIP", f"the body is not gzip: {error}") from None
            size += len(part)
            if size > allowed:
                raise Fault(413, "BODY_TOO_LARGE", f"the body inflates to more than {allowed} bytes")
            parts.append(part)
            rest = member.unconsumed_tail
            if not part and not rest and not member.eof:
                raise Fault(400, "BAD_GZIP", "the gzip stream is cut off")
        rest = member.unused_data
    if not body:
        raise Fault(400, "BAD_GZIP", "the body is empty, which is not gzip")
    return b"".join(parts)


def too_deep(body: bytes, limit: int) -> bool:
    """Whether a JSON text nests its arrays and objects deeper than `limit`; False for what is not balanced: the parser
    says more of it.

    Most bodies are decided by a few passes of C code over what is left when everything but brackets and quotes is gone:
    each pass takes away the innermost level.
    """
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    shape = body.translate(_ONE_KIND, _OTHER).replace(b'""', b"")
    if b'"' in shape or b"\\" in shape:  # brackets or escapes inside of strings
        shape = _STRING.sub(b"", body).translate(_ONE_KIND, _OTHER)
    for _ in range(limit):
        shape = shape.replace(b"{}", b"")
        if not shape:
            return False
    return b"{}" in shape or shape.count(b"{") > limit
