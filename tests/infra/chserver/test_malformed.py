"""Bytes that are not what the protocols say: each gets an error or ends its own connection, and the server lives on."""

import gzip
import random
import socket
import struct
import zlib
from typing import Any

import pytest
import zstandard

from infra.chserver.codec import Method, frame
from infra.chserver.wire import string, varint

KEY = b"X-ClickHouse-Key: let me in\r\n"
HELLO = b"\0" + string("t") + varint(20) + varint(10) + varint(54453)
LOGIN = HELLO + string("") + string("default") + string("let me in")
CLIENT_INFO = b"\x01" + b"\0\0\0" + bytes(8) + b"\x01" + b"\0\0\0" + b"\0\0\0" + b"\0" + b"\0" + b"\0" + b"\0" + b"\0\0\0"
END_OF_TABLES = b"\x02\0" + b"\0" + b"\0\0"  # a Data packet: no table, no block info, an empty block


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """Send, close the sending side, and read all that comes."""
    with connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it may have refused the start already
        out = bytearray()
        while True:
            try:
                got = connection.recv(1 << 16)
            except ConnectionResetError:
                return bytes(out)
            if not got:
                return bytes(out)
            out += got


def query(sql: str, compressed: bool = False) -> bytes:
    return b"\x01" + string("") + CLIENT_INFO + string("") + string("") + varint(2) + varint(compressed) + string(sql)


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"Content-Length: -5\r\n", b"SELECT 1", 400),
        (b"Content-Length: many\r\n", b"SELECT 1", 400),
        (b"Content-Length: 99999999999999999999\r\n", b"", 413),
        (b"Content-Length: 140000000\r\n", b"", 413),
        (b"Content-Length: 100\r\n", b"SELECT 1", 400),
        (b"Transfer-Encoding: chunked\r\n", b"xyz\r\nSELECT 1\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n", b"-8\r\nSELECT 1\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n", b"\r\nSELECT 1\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n", b"3\r\nSELECT 1\r\n0\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n", b"ffffffffff\r\nSELECT 1", 413),
        (b"Transfer-Encoding: chunked\r\n", b"8\r\nSEL", 400),
        (b"Transfer-Encoding: magic\r\n", b"", 501),
        (b"Content-Encoding: gzip\r\nContent-Length: 8\r\n", b"SELECT 1", 400),
        (b"Content-Encoding: deflate\r\nContent-Length: 8\r\n", b"SELECT 1", 400),
        (b"Content-Encoding: lz4\r\nContent-Length: 8\r\n", b"SELECT 1", 400),
        (b"Content-Encoding: zstd\r\nContent-Length: 8\r\n", b"SELECT 1", 400),
        (b"Content-Encoding: br\r\nContent-Length: 8\r\n", b"SELECT 1", 415),
        (b"Authorization: Basic %%%\r\nContent-Length: 8\r\n", b"SELECT 1", 400),
        (b"Authorization: Basic /w==\r\nContent-Length: 8\r\n", b"SELECT 1", 400),
    ],
)
def test_http(server: Any, head: bytes, body: bytes, status: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\n" + (b"" if b"Authorization" in head else KEY) + head + b"\r\n" + body
    answer = exchange(server.connect(server.http_port), request)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"Connection: close" in answer


@pytest.mark.parametrize("cut", [5, 12, 20, -1, -8])
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_packed_bodies_that_end_too_early(server: Any, coding: str, cut: int) -> None:
    data = b"SELECT 1" + b" " * 1000
    packed = gzip.compress(data) if coding == "gzip" else zstandard.ZstdCompressor().compress(data)
    headers = {"X-ClickHouse-Key": "let me in", "Content-Encoding": coding}
    assert server.http(data=packed[:cut], headers=headers)[0] == 400


def test_bombs_are_refused(server: Any) -> None:
    zeros = zlib.compressobj(9, wbits=31)
    piece = bytes(1 << 20)
    bomb = b"".join([zeros.compress(piece) for _ in range(140)]) + zeros.flush()
    assert len(bomb) < 1 << 20
    headers = {"X-ClickHouse-Key": "let me in", "Content-Encoding": "gzip"}
    status, _, body = server.http(data=bomb, headers=headers)
    assert (status, b"more than the" in body) == (413, True)
    packer = zstandard.ZstdCompressor().compressobj()
    bomb = b"".join([packer.compress(piece) for _ in range(140)]) + packer.flush()
    assert server.http(data=bomb, headers={**headers, "Content-Encoding": "zstd"})[0] == 413


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x00\xff\x13",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"GET //[x HTTP/1.1\r\n\r\n",
        b"GET /?%ff=%fe&query=SELECT%00 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http(server: Any, data: bytes) -> None:
    answer = exchange(server.connect(server.http_port), data)
    assert b" 200 " not in answer[:20]
    assert b" 500 " not in answer[:20]


@pytest.mark.parametrize("name", ["query_id", "session_id", "database", "param_a", "user", "max_threads"])
def test_odd_parameters(server: Any, name: str) -> None:
    for value in ("\r\nInjected: yes", "\0", "é", "\udcff", "`'\\"):
        raw = value.encode("utf-8", "surrogateescape")
        _, headers, _ = server.http("SELECT {a:String}", **{"param_a": "x", name: raw})
        assert headers["Injected"] is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 100,
        b"\0" + varint(1 << 62),
        b"\0" + varint(1 << 19) + b"a" * (1 << 19),
        b"\0" + string("t") + varint(20) + varint(10) + varint(50000) + string("") * 3,
        LOGIN + b"\x63",
        LOGIN + varint(1 << 40),
        LOGIN + b"\x01" + varint(1 << 50),
        LOGIN + query("SELECT 1") + b"\x09",
        LOGIN + query("SELECT 1") + b"\x02\0\x07",
        LOGIN + query("SELECT 1") + b"\x02\0\0" + varint(1 << 40) + varint(1 << 40),
        LOGIN + query("SELECT 1") + b"\x02\0\0\x01" + varint(1 << 40) + string("a") + string("UInt64"),
        LOGIN + query("SELECT 1") + b"\x02\0\0\x01\x01" + string("a") + string("Array(" * 500 + "X" + ")" * 500),
        LOGIN + query("SELECT 1") + b"\x02\0\0\x01\x01" + string("a") + string("AggregateFunction(avg, UInt8)"),
        LOGIN + query("SELECT 1") + b"\x02\0\0\x01\x01" + string("a") + string("LowCardinality(String)") + b"\xff" * 64,
        LOGIN + query("SELECT 1") + b"\x02\0\0\x01\x01" + string("a") + string("String") + b"\xff" * 64,
        LOGIN + query("SELECT 1", compressed=True) + b"\x02\0" + bytes(16) + struct.pack("<BII", 0x82, 20, 100) + bytes(11),
        LOGIN + query("SELECT 1", compressed=True) + b"\x02\0" + bytes(16) + struct.pack("<BII", 0x82, 3, 100),
        LOGIN + query("SELECT 1", compressed=True) + b"\x02\0" + bytes(16) + struct.pack("<BII", 0x82, 1 << 31, 1 << 31),
        LOGIN + query("SELECT 1", compressed=True) + b"\x02\0" + frame(b"\0\0\0 and more", Method.LZ4),
    ],
)
def test_native(server: Any, data: bytes) -> None:
    """An exception packet comes, after the hello for those who were let in, and the connection ends."""
    answer = exchange(server.connect(), data)
    start = answer.index(b"\x02", 1) if data.startswith(LOGIN) else 0
    assert b"DB::Exception" in answer[start:]
    assert (answer[0] == 0) == data.startswith(LOGIN)


@pytest.mark.parametrize("length", [0, 1, 10, len(LOGIN) - 1, len(LOGIN), len(LOGIN) + 5])
def test_clients_that_leave_early(server: Any, length: int) -> None:
    answer = exchange(server.connect(), (LOGIN + query("SELECT 1"))[:length])
    assert b"DB::Exception" not in answer


def test_seeded_garbage(server: Any) -> None:
    """Sound packets with random bytes changed: whatever comes back, the server goes on."""
    rng = random.Random(4)
    sound = LOGIN + query("SELECT number FROM numbers(10)") + END_OF_TABLES + b"\x04"
    for _ in range(150):
        data = bytearray(sound)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        exchange(server.connect(), bytes(data))
    assert server.client().execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize("compressed", [False, True])
def test_an_insert_that_breaks_off_stores_nothing(server: Any, table: str, compressed: bool) -> None:
    client = server.client()
    client.execute(f"CREATE TABLE {table} (a UInt8) ENGINE = MergeTree ORDER BY a")
    rows = b"\0" + b"\x01\x03" + string("a") + string("UInt8") + b"\x01\x02\x03"
    empty = b"\x02\0" + (frame(b"\0\0\0", Method.LZ4) if compressed else b"\0\0\0")
    packet = b"\x02\0" + (frame(rows, Method.ZSTD) if compressed else rows)
    start = LOGIN + query(f"INSERT INTO {table} VALUES", compressed) + empty
    for cut in (1, 5, len(packet) - 1, len(packet)):
        exchange(server.connect(), start + (packet + empty)[:cut])
        assert client.execute(f"SELECT count() FROM {table}") == [(0,)]
    exchange(server.connect(), start + packet + b"\x03")  # cancelled
    assert client.execute(f"SELECT count() FROM {table}") == [(0,)]
    assert exchange(server.connect(), start + packet + empty)[-1] == 5  # end of stream: stored
    assert client.execute(f"SELECT count() FROM {table}") == [(3,)]


def test_blocks_must_have_the_announced_columns(server: Any, table: str) -> None:
    client = server.client()
    client.execute(f"CREATE TABLE {table} (a UInt8) ENGINE = MergeTree ORDER BY a")
    rows = b"\x02\0\0" + b"\x01\x01" + string("other") + string("UInt8") + b"\x01"
    start = LOGIN + query(f"INSERT INTO {table} VALUES") + END_OF_TABLES
    answer = exchange(server.connect(), start + rows + END_OF_TABLES + b"\x04")
    assert b"THERE_IS_NO_COLUMN" in answer
    assert answer.endswith(b"\x04")  # pong: the connection went on
    assert client.execute(f"SELECT count() FROM {table}") == [(0,)]
