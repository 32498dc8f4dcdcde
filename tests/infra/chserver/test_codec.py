"""Compressed frames and the binary primitives."""

import random

import pytest
from clickhouse_driver.bufferedreader import BufferedSocketReader
from clickhouse_driver.varint import read_varint

from infra.chserver.codec import MAX_FRAME, Method, frame, read_frame
from infra.chserver.errors import Code, EngineError, ProtocolError
from infra.chserver.wire import Reader, empty_source, varint

DATA = b"fleet" * 1000


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("data", [b"", b"x", DATA, random.Random(1).randbytes(5000)])
def test_frames_come_back(method: Method, data: bytes) -> None:
    reader = Reader(empty_source, MAX_FRAME, frame(data, method) + frame(b"next", method))
    assert read_frame(reader) == data
    assert read_frame(reader) == b"next"
    assert reader.pending == 0


@pytest.mark.parametrize("method", list(Method))
def test_no_changed_byte_goes_unnoticed(method: Method) -> None:
    packed = frame(b"some plain bytes", method)
    for at in range(len(packed)):
        changed = packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :]
        with pytest.raises((ProtocolError, EOFError)):
            read_frame(Reader(empty_source, MAX_FRAME, changed))


class Bytes:
    """A socket that has received some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def recv_into(self, buffer: bytearray) -> int:
        size = min(len(buffer), len(self.data))
        buffer[:size], self.data = self.data[:size], self.data[size:]
        return size


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**32, 2**63])
def test_integers_are_those_of_the_driver(number: int) -> None:
    assert read_varint(BufferedSocketReader(Bytes(varint(number)), 64)) == number
    assert Reader(empty_source, 64, varint(number)).varint() == number


def test_a_reader_refuses_more_than_its_limit_before_fetching_it() -> None:
    fetched = []

    def source() -> bytes:
        fetched.append(1)
        return bytes(10)

    reader = Reader(source, 100)
    reader.skip(100)
    assert len(fetched) == 10
    with pytest.raises(ProtocolError):
        reader.skip(1)
    reader.forget()
    with pytest.raises(ProtocolError):
        reader.skip(10**12)
    assert len(fetched) == 10


@pytest.mark.parametrize(
    ("text", "code", "name"),
    [
        ("Code: 60. DB::Exception: Table a does not exist. (UNKNOWN_TABLE) (version 26.9.2.1)", 60, "UNKNOWN_TABLE"),
        ("Code: 27. DB::Exception: Code: 27. DB::Exception: x (AB_CD) (version 1.2). (AB_CD) (version 1.2)", 27, "AB_CD"),
        ("Failed to create connection: Code: 36. DB::Exception: y. (BAD_ARGUMENTS)", 36, "BAD_ARGUMENTS"),
        ("something else", Code.UNKNOWN_EXCEPTION, ""),
    ],
)
def test_errors_of_the_engine(text: str, code: int, name: str) -> None:
    error = EngineError.of_engine(RuntimeError(text))
    assert (error.code, error.name) == (code, name)
    assert error.text.startswith("DB::Exception: ")
    assert error.text.count("DB::Exception") == 1
    assert "version" not in error.text
