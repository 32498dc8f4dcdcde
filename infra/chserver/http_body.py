"""Reading the body of an HTTP request: within limits, whole or in chunks, packed or plain."""

import zlib
from http import HTTPStatus
from typing import Protocol

import lz4.frame
import zstandard

from infra.chserver.codec import read_frame
from infra.chserver.errors import ProtocolError
from infra.chserver.wire import Reader

MAX_BODY = 128 << 20  # bytes, as they come and unpacked
_LONGEST_LINE = 1024  # of a chunk's size with its extensions
_MOST_TRAILERS = 100
_ZSTD_PIECE = 1 << 10  # at most 128 KiB come out of 4 bytes


class BadRequest(Exception):
    """The request is not HTTP as it should be; what follows on its connection cannot be read."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


class Headers(Protocol):
    """Header fields; names are read without regard to case."""

    def get(self, name: str, default: str, /) -> str: ...


class Source(Protocol):
    """A buffered stream of the connection."""

    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...


def read_body(headers: Headers, source: Source) -> bytes:
    """The body as it came; empty when there is none.

    Raises:
        BadRequest: length or chunks are malformed, too much, or the client left before the end.
    """
    coding = headers.get("Transfer-Encoding", "").strip().lower()
    if coding == "chunked":
        return _chunks(source)
    if coding:
        raise BadRequest(f"the transfer encoding {coding!r} is not known", HTTPStatus.NOT_IMPLEMENTED)
    length = headers.get("Content-Length", "0").strip()
    if not (length.isascii() and length.isdecimal()):
        raise BadRequest(f"Content-Length is {length!r}, which is not a number of bytes")
    if len(length) > 15 or int(length) > MAX_BODY:
        raise _too_large()
    return _exactly(source, int(length))


def unpack(data: bytes, coding: str) -> bytes:
    """The body behind a Content-Encoding.

    Raises:
        BadRequest: the coding is unknown, the data are not of it, or they are too much unpacked.
    """
    coding = coding.strip().lower()
    if coding in ("", "identity") or not data:
        return data
    try:
        if coding in ("gzip", "x-gzip", "deflate"):
            return _inflate(data, 31 if "gzip" in coding else 15)
        if coding == "lz4":
            return _unpack_lz4(data)
        if coding == "zstd":
            return _unpack_zstd(data)
    except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:  # lz4.frame raises RuntimeError
        raise BadRequest(f"the body is not valid {coding}: {error}") from error
    raise BadRequest(f"the content encoding {coding!r} is not known", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def unpack_frames(data: bytes) -> bytes:
    """The body in ClickHouse's own compressed frames (`decompress=1`)."""
    reader, plain = Reader(lambda: b"", MAX_BODY, data), bytearray()
    try:
        while reader.pending:
            plain += read_frame(reader)
            _check_size(plain)
    except EOFError as error:
        raise BadRequest("the last compressed frame of the body is not whole") from error
    except ProtocolError as error:
        raise BadRequest(error.text) from error
    return bytes(plain)


def _chunks(source: Source) -> bytes:
    body = bytearray()
    while size := _chunk_size(source.readline(_LONGEST_LINE)):
        if len(body) + size > MAX_BODY:
            raise _too_large()
        body += _exactly(source, size)
        if source.readline(3) != b"\r\n":
            raise BadRequest("a chunk is longer than its size says")
    for _ in range(_MOST_TRAILERS):
        if source.readline(_LONGEST_LINE) in (b"\r\n", b"\n", b""):
            return bytes(body)
    raise BadRequest(f"there are more than {_MOST_TRAILERS} lines after the last chunk")


def _chunk_size(line: bytes) -> int:
    digits = line.split(b";")[0].strip()
    if not line.endswith(b"\n") or not digits or len(digits) > 12 or digits.strip(b"0123456789abcdefABCDEF"):
        raise BadRequest(f"a chunk's size is {line[:40]!r}, which is not a hexadecimal number")
    return int(digits, 16)


def _exactly(source: Source, size: int) -> bytes:
    data = source.read(size) if size else b""
    if len(data) != size:
        raise BadRequest(f"the body ends after {len(data)} of {size} bytes")
    return data


def _inflate(data: bytes, window: int) -> bytes:
    """One or several gzip members, or a zlib stream."""
    plain = bytearray()
    while data:
        member = zlib.decompressobj(wbits=window)
        plain += member.decompress(data, MAX_BODY + 1 - len(plain))
        _check_size(plain)
        if not member.eof:
            raise EOFError("it ends too early")
        data = member.unused_data.lstrip(b"\0")  # some writers pad
    return bytes(plain)


def _unpack_lz4(data: bytes) -> bytes:
    frames = lz4.frame.LZ4FrameDecompressor()
    plain = bytes(frames.decompress(data, max_length=MAX_BODY + 1))
    _check_size(plain)
    if not frames.eof:
        raise EOFError("it ends too early")
    return plain


def _unpack_zstd(data: bytes) -> bytes:
    """A zstd frame, given to the decoder in small pieces because it takes no limit on what it gives back."""
    unpacker, plain = zstandard.ZstdDecompressor().decompressobj(), bytearray()
    for start in range(0, len(data), _ZSTD_PIECE):
        plain += unpacker.decompress(data[start : start + _ZSTD_PIECE])
        _check_size(plain)
        if unpacker.eof:
            return bytes(plain)
    raise EOFError("it ends too early")


def _check_size(plain: bytes | bytearray) -> None:
    if len(plain) > MAX_BODY:
        raise _too_large()


def _too_large() -> BadRequest:
    return BadRequest(
        f"the body is more than the {MAX_BODY} bytes allowed; insert in several requests",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
