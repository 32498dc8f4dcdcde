"""The HTTP interface: statements, formats, inserts, packing, credentials, sessions, errors."""

import gzip
import http.client
import json
import time
from typing import Any

import lz4.frame
import pytest
import zstandard
from clickhouse_driver import Client

from infra.chserver.codec import Method, frame, read_frame
from infra.chserver.wire import Reader


def test_ping_needs_no_password(server: Any) -> None:
    for path in ("/ping", "/replicas_status", "/"):
        status, _, body = server.http(path=path, headers={}, get=True)
        assert (status, body) == (200, b"Ok.\n")
    assert server.http(path="/nowhere", headers={}, get=True)[0] == 404


def test_statement_in_the_url_or_in_the_body(server: Any) -> None:
    assert server.http("SELECT 1 + 1", get=True)[2] == b"2\n"
    assert server.http("SELECT 1 + 1")[2] == b"2\n"
    assert server.http(data=b"SELECT 1 + 1;")[2] == b"2\n"
    assert server.http("SELECT 1", b"+ 1")[2] == b"2\n"
    assert server.http(data=b"SELECT 'h\xc3\xa9\xff'")[2] == b"h\xc3\xa9\xff\n"


@pytest.mark.parametrize("how", ["clause", "default_format", "header"])
def test_formats(server: Any, how: str) -> None:
    sql, headers, params = "SELECT number AS n FROM numbers(2)", {}, {}
    if how == "clause":
        sql += " FORMAT JSONEachRow"
    elif how == "default_format":
        params = {"default_format": "JSONEachRow"}
    else:
        headers = {"X-ClickHouse-Format": "JSONEachRow"}
    headers |= {"X-ClickHouse-User": "default", "X-ClickHouse-Key": "let me in"}
    status, answered, body = server.http(sql, headers=headers, **params)
    assert status == 200
    assert [json.loads(line) for line in body.splitlines()] == [{"n": 0}, {"n": 1}]
    assert answered["X-ClickHouse-Format"] == "JSONEachRow"
    assert answered["Content-Type"].startswith("application/x-ndjson")


def test_headers_tell_what_was_read_and_written(server: Any, table: str) -> None:
    server.http(f"CREATE TABLE {table} (a UInt8) ENGINE = MergeTree ORDER BY a")
    headers = server.http(f"INSERT INTO {table} FORMAT CSV", b"1\n2\n")[1]
    assert json.loads(headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    headers = server.http(f"SELECT * FROM {table}", query_id="mine")[1]
    assert json.loads(headers["X-ClickHouse-Summary"])["read_rows"] == "2"
    assert headers["X-ClickHouse-Query-Id"] == "mine"
    assert headers["X-ClickHouse-Timezone"]


def test_parameters_settings_and_database(server: Any, table: str) -> None:
    sql = "SELECT {a:Int32} + 1, {b:Array(String)}, getSetting('max_block_size')"
    body = server.http(sql, param_a=4, param_b="['x','y']", max_block_size=777)[2]
    assert body == b"5\t['x','y']\t777\n"
    server.http(f"CREATE DATABASE d_{table} ENGINE = Atomic")
    assert server.http("SELECT currentDatabase()", database=f"d_{table}")[2] == f"d_{table}\n".encode()
    assert server.http("SELECT currentDatabase()")[2] == b"default\n"


@pytest.mark.parametrize(
    ("statement", "body"),
    [
        ("FORMAT CSV", b"1,x\n2,y\n"),
        ("FORMAT JSONEachRow", b'{"a":1,"b":"x"}\n{"a":2,"b":"y"}'),
        ("VALUES", b"(1,'x'),(2,'y')"),
        ("VALUES (1,'x')", b",(2,'y')"),
        ("", b"(1,'x'),(2,'y')"),
        ("(b, a) FORMAT TabSeparated", b"x\t1\ny\t2\n"),
        ("FORMAT Native", b"\x02\x02\x01a\x05UInt8\x01\x02\x01b\x06String\x01x\x01y"),
        ("SETTINGS async_insert = 0 FORMAT CSV", b"1,x\n2,y\n"),
        ("FORMAT CSV 1,x\n2,y", None),
        ("VALUES (1, 'x'), (2, 'y')", None),
        ("SELECT 1, 'x' UNION ALL SELECT 2, 'y'", None),
    ],
)
def test_inserts(server: Any, table: str, statement: str, body: bytes | None) -> None:
    server.http(f"CREATE TABLE {table} (a UInt8, b String) ENGINE = MergeTree ORDER BY a")
    status, _, answer = server.http(f"INSERT INTO {table} {statement}", body)
    assert status == 200, answer
    assert server.http(f"SELECT * FROM {table} ORDER BY a")[2] == b"1\tx\n2\ty\n"


def test_a_whole_insert_in_the_body(server: Any, table: str) -> None:
    server.http(f"CREATE TABLE {table} (a UInt8, b String) ENGINE = MergeTree ORDER BY a")
    assert server.http(data=f"INSERT INTO {table} FORMAT CSV\n1,x\n2,y\n".encode())[0] == 200
    assert server.http(f"SELECT count() FROM {table}")[2] == b"2\n"


def test_rows_that_are_refused_store_nothing(server: Any, table: str) -> None:
    server.http(f"CREATE TABLE {table} (a UInt16) ENGINE = MergeTree PARTITION BY a ORDER BY a")
    status, headers, body = server.http(f"INSERT INTO {table} FORMAT CSV", "".join(f"{i}\n" for i in range(500)).encode())
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "252"), body
    status, headers, body = server.http(f"INSERT INTO {table} FORMAT CSV", b"1\n2\nx\n")
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (400, "117"), body
    assert body.count(b"DB::Exception") == body.count(b"INCORRECT_DATA") == 1
    assert server.http(f"SELECT count() FROM {table}")[2] == b"0\n"


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:2]) + gzip.compress(data[2:])),
        ("lz4", lz4.frame.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("zstd", lambda data: zstandard.ZstdCompressor(write_content_size=False).compress(data)),
    ],
)
def test_packed_bodies(server: Any, table: str, coding: str, pack: Any) -> None:
    server.http(f"CREATE TABLE {table} (a UInt32) ENGINE = MergeTree ORDER BY a")
    data = "".join(f"{number}\n" for number in range(50_000)).encode()
    headers = {"X-ClickHouse-Key": "let me in", "Content-Encoding": coding}
    assert server.http(f"INSERT INTO {table} FORMAT CSV", pack(data), headers)[0] == 200
    assert server.http(f"SELECT count(), sum(a) FROM {table}")[2] == b"50000\t1249975000\n"


def test_clickhouse_frames_both_ways(server: Any, table: str) -> None:
    server.http(f"CREATE TABLE {table} (a UInt32) ENGINE = MergeTree ORDER BY a")
    body = frame(b"1\n2\n", Method.ZSTD) + frame(b"3\n", Method.NONE)
    assert server.http(f"INSERT INTO {table} FORMAT CSV", body, decompress=1)[0] == 200
    packed = server.http(f"SELECT * FROM {table} ORDER BY a", compress=1)[2]
    assert read_frame(Reader(lambda: b"", 1 << 20, packed)) == b"1\n2\n3\n"


def test_gzip_answers_on_request(server: Any) -> None:
    headers = {"X-ClickHouse-Key": "let me in", "Accept-Encoding": "gzip"}
    sql = "SELECT number FROM numbers(1000)"
    _, answered, body = server.http(sql, headers=headers, enable_http_compression=1)
    assert answered["Content-Encoding"] == "gzip"
    assert gzip.decompress(body).count(b"\n") == 1000
    assert server.http(sql, headers=headers)[1]["Content-Encoding"] is None


@pytest.mark.parametrize(
    "headers", [{}, {"X-ClickHouse-Key": "no"}, {"Authorization": "Basic ZGVmYXVsdDpubw=="}, {"X-ClickHouse-User": "x"}]
)
def test_wrong_credentials(server: Any, headers: dict[str, str]) -> None:
    status, answered, body = server.http("SELECT 1", headers=headers)
    assert (status, answered["X-ClickHouse-Exception-Code"]) == (403, "516")
    assert b"AUTHENTICATION_FAILED" in body


def test_credentials_in_the_url(server: Any) -> None:
    assert server.http("SELECT 1", headers={}, user="default", password="let me in")[2] == b"1\n"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT * FROM nope", 404, 60),
        ("SELEC 1", 400, 62),
        ("SELECT toInt32('x')", 400, 6),
        ("SELECT nope", 404, 47),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT {a:Int32}", 500, 456),
        ("SELECT * FROM nope.nope", 404, 81),
    ],
)
def test_errors(server: Any, sql: str, status: int, code: int) -> None:
    answered, headers, body = server.http(sql)
    assert (answered, headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert body.startswith(f"Code: {code}. DB::Exception: ".encode())


def test_unknown_settings_are_errors(server: Any) -> None:
    status, headers, _ = server.http("SELECT 1", no_such_setting=1)
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (404, "115")


def test_get_only_reads(server: Any, table: str) -> None:
    status, headers, body = server.http(f"CREATE TABLE {table} (a Int8) ENGINE = Memory", get=True)
    assert (status, headers["X-ClickHouse-Exception-Code"]) == (500, "164"), body
    assert server.http(f"EXISTS TABLE {table}", get=True)[2] == b"0\n"


def test_statements_share_nothing_without_a_session(server: Any) -> None:
    assert server.http("CREATE TEMPORARY TABLE tt (a Int8)")[0] == 200
    assert server.http("SELECT * FROM tt")[0] == 404
    assert server.http("SET max_block_size = 5")[0] == 200
    assert server.http("SELECT getSetting('max_block_size')")[2] != b"5\n"


def test_sessions_keep_temporary_tables(server: Any) -> None:
    session = {"session_id": "s1"}
    server.http("CREATE TEMPORARY TABLE tt (a Int8)", **session)
    server.http("INSERT INTO tt VALUES (1), (2)", **session)
    assert server.http("SELECT sum(a) FROM tt", **session)[2] == b"3\n"
    assert server.http("SELECT 1", session_id="other", session_check=1)[1]["X-ClickHouse-Exception-Code"] == "372"
    assert server.http("SELECT 1", session_id="s1", session_check=1)[2] == b"1\n"
    assert server.http("SELECT 1", session_id="s1", session_timeout="soon")[0] == 400


def test_a_session_is_for_one_statement_at_a_time(server: Any) -> None:
    key = {"X-ClickHouse-Key": "let me in"}
    for _ in range(10):  # the short statement may also come first: then the slow one is the one that is refused
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
        connection.request("POST", "/?session_id=s2&query=SELECT+sleep(2)", headers=key)
        until = time.monotonic() + 2
        refused = False
        while not refused and time.monotonic() < until:
            refused = server.http("SELECT 1", session_id="s2")[1]["X-ClickHouse-Exception-Code"] == "373"
        answer = connection.getresponse().read()
        connection.close()
        if refused:
            break
        assert answer.startswith(b"Code: 373"), answer
    assert refused
    assert answer == b"0\n"
    assert server.http("SELECT 1", session_id="s2")[2] == b"1\n"


def test_empty_native_results_have_columns(server: Any) -> None:
    body = server.http("SELECT 1 AS a, 'x' AS s WHERE 0 FORMAT Native")[2]
    assert body == b"\x02\x00\x01a\x05UInt8\x01s\x06String"


def test_a_connection_serves_many_requests_and_head_has_no_body(server: Any) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=20)
    key = {"X-ClickHouse-Key": "let me in"}
    for _ in range(3):
        connection.request("POST", "/?query=SELEC+1", headers=key)
        assert connection.getresponse().read().startswith(b"Code: 62")
        connection.request("HEAD", "/?query=SELECT+1", headers=key)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        connection.request("POST", "/?query=SELECT+1", iter([b" + ", b"1"]), key, encode_chunked=True)
        assert connection.getresponse().read() == b"2\n"
    connection.close()


def test_http_and_native_see_the_same(server: Any, table: str) -> None:
    client: Client = server.client()
    client.execute(f"CREATE TABLE {table} (a Int32) ENGINE = MergeTree ORDER BY a")
    client.execute(f"INSERT INTO {table} VALUES", [(1,), (2,)])
    assert server.http(f"SELECT sum(a) FROM {table}")[2] == b"3\n"
