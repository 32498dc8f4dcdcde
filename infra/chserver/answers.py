"""What the server sends over the native protocol."""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from infra.chserver.codec import Method, frame
from infra.chserver.engine import Engine
from infra.chserver.errors import EngineError
from infra.chserver.requests import SERVER_REVISION
from infra.chserver.wire import string, varint

_TIMEZONE, _DISPLAY_NAME, _PATCH, _WRITTEN = 54058, 54372, 54401, 54420
_BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # no overflow row, no bucket
_EMPTY_BLOCK = b"\0\0"
_NO_TABLE = b"\0"
DISPLAY_NAME = "fleetlog"

Send = Callable[[bytes | memoryview], object]


class Kind(IntEnum):
    """Kinds of packets that servers send."""

    HELLO = 0
    DATA = 1
    EXCEPTION = 2
    PROGRESS = 3
    PONG = 4
    END_OF_STREAM = 5
    PROFILE = 6


@dataclass(frozen=True, slots=True)
class Progress:
    """What was done since the last progress was told."""

    rows: int = 0
    bytes: int = 0
    total_rows: int = 0
    written_rows: int = 0
    written_bytes: int = 0


def header(columns: Iterable[tuple[str, str]]) -> bytes:
    """A block of these columns (name, type) without rows."""
    names = list(columns)
    return varint(len(names)) + b"\0" + b"".join(string(name) + string(kind) for name, kind in names)


class Answers:
    """Writes packets. `method` is how blocks are packed, None when the client wants them plain."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.revision = SERVER_REVISION
        self.method: Method | None = None

    def hello(self, engine: Engine) -> None:
        major, minor, patch = engine.version_numbers
        out = [varint(Kind.HELLO), string("ClickHouse"), varint(major), varint(minor), varint(SERVER_REVISION)]
        if self.revision >= _TIMEZONE:
            out.append(string(engine.timezone))
        if self.revision >= _DISPLAY_NAME:
            out.append(string(DISPLAY_NAME))
        if self.revision >= _PATCH:
            out.append(varint(patch))
        self._send(b"".join(out))

    def pong(self) -> None:
        self._send(varint(Kind.PONG))

    def exception(self, error: EngineError) -> None:
        code = struct.pack("<i", error.code)
        self._send(
            varint(Kind.EXCEPTION) + code + string("DB::Exception") + string(error.text) + string("") + b"\0"
        )  # no stack, no cause

    def block(self, data: bytes | memoryview) -> None:
        """A block in the Native format."""
        head = varint(Kind.DATA) + _NO_TABLE
        if self.method is not None:
            self._send(head + frame(_BLOCK_INFO + data, self.method))
        else:
            self._send(head + _BLOCK_INFO)
            self._send(data)

    def progress(self, now: Progress) -> None:
        out = [varint(Kind.PROGRESS), varint(now.rows), varint(now.bytes), varint(now.total_rows)]
        if self.revision >= _WRITTEN:
            out += [varint(now.written_rows), varint(now.written_bytes)]
        self._send(b"".join(out))

    def profile(self, rows: int, blocks: int, size: int) -> None:
        # "Limit applied", "rows before limit", and that it was computed: clients divide by what stands there.
        self._send(varint(Kind.PROFILE) + varint(rows) + varint(blocks) + varint(size) + b"\0\0\1")

    def end_of_rows(self) -> None:
        """A block without columns: the C++ client closes its output at it."""
        self.block(_EMPTY_BLOCK)

    def end(self) -> None:
        self._send(varint(Kind.END_OF_STREAM))
