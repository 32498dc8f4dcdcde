"""clickhouse-driver, unchanged, against the server: plain, lz4 and zstd."""

import datetime as dt
import decimal
import ipaddress
import sys
import types
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zstandard
from clickhouse_driver import Client, errors
from clickhouse_driver.protocol import ServerPacketTypes

UTC = dt.UTC
EVERY_TYPE = """(k LowCardinality(String), ts DateTime64(6, 'UTC'), s String CODEC(ZSTD(1)), v Float64, n Nullable(Int32),
    a Array(LowCardinality(Nullable(String))), m Map(String, UInt64), tp Tuple(a UInt8, b String), u UUID,
    d Decimal(18, 4), e Enum8('x' = 1, 'y' = 2), ip IPv4, b Bool, dd Date, fs FixedString(4),
    lcn LowCardinality(Nullable(String)), i6 IPv6, d32 Date32, big UInt256, strings Array(String), doubles Array(Float64),
    deep Array(Array(Nullable(String))), ns Nullable(String), nst Nested(x UInt8, y String))
    ENGINE = MergeTree ORDER BY (k, ts)"""
ROW = (
    "k1",
    dt.datetime(2024, 1, 1, 0, 0, 0, 123456, tzinfo=UTC),
    "héllo" * 100,
    1.5,
    None,
    ["a", None, "b"],
    {"x": 1, "y": 2},
    (1, "z"),
    uuid.UUID(int=2**100),
    decimal.Decimal("12.3400"),
    "y",
    ipaddress.IPv4Address("1.2.3.4"),
    True,
    dt.date(2024, 1, 1),
    "abcd",
    None,
    ipaddress.IPv6Address("::1"),
    dt.date(1950, 1, 1),
    2**200,
    ["", "x" * 300, "é"],
    [1.0, -0.5],
    [["a", None], [], ["b"]],
    None,
    [1, 2],
    ["p", "q"],
)


@pytest.fixture(params=[False, "lz4", "zstd"], ids=["plain", "lz4", "zstd"])
def client(server: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Client:
    # clickhouse-driver wants a package `zstd`, which is not needed otherwise; its two functions are these.
    codec = types.ModuleType("zstd")
    codec.compress = lambda data: zstandard.ZstdCompressor().compress(data)  # type: ignore[attr-defined]
    codec.decompress = lambda data: zstandard.ZstdDecompressor().decompress(data)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "zstd", codec)
    return server.client(compression=request.param)


def code_of(client: Client, sql: str, data: Any = None, **options: Any) -> int:
    with pytest.raises(errors.ServerException) as caught:
        client.execute(sql, data, **options)
    return int(caught.value.code)


def test_rows_of_every_type_come_back_as_they_went(client: Client, table: str) -> None:
    client.execute(f"CREATE TABLE {table} {EVERY_TYPE}")
    assert client.execute(f"INSERT INTO {table} VALUES", [ROW] * 5) == 5
    rows = client.execute(f"SELECT * FROM {table}")
    assert rows == [ROW] * 5


def test_columns_dicts_and_partial_columns(client: Client, table: str) -> None:
    client.execute(f"CREATE TABLE {table} (k String, v Float64, n UInt8 DEFAULT 7) ENGINE = MergeTree ORDER BY k")
    client.execute(f"INSERT INTO {table} (k, v) VALUES", [["a", "b"], [1.0, 2.0]], columnar=True)
    client.execute(f"INSERT INTO {table} (k, v) VALUES", [{"k": "c", "v": 3.0}])
    client.execute(f"INSERT INTO {table} (* EXCEPT(n)) VALUES", [("d", 4.0)])
    expected = [("a", 1.0, 7), ("b", 2.0, 7), ("c", 3.0, 7), ("d", 4.0, 7)]
    assert client.execute(f"SELECT * FROM {table} ORDER BY k") == expected


def test_inline_values_and_insert_select(client: Client, table: str) -> None:
    client.execute(f"CREATE TABLE {table} (k String, v UInt64) ENGINE = MergeTree ORDER BY k")
    client.execute(f"INSERT INTO {table} VALUES ('i (', 1), ('j', 2)")
    client.execute(f"INSERT INTO {table} (k, v) SELECT 'n', number FROM numbers(1000)")
    assert client.execute(f"SELECT count(), sum(v) FROM {table}") == [(1002, 499503)]


def test_empty_results_have_columns(client: Client) -> None:
    rows, columns = client.execute("SELECT number AS n, 'x' AS s FROM numbers(5) WHERE 0", with_column_types=True)
    assert rows == []
    assert columns == [("n", "UInt64"), ("s", "String")]


def test_rows_are_streamed(client: Client) -> None:
    rows = client.execute_iter("SELECT number, toString(number) FROM numbers(200000)")
    assert sum(int(text) == number for number, text in rows) == 200_000


def test_settings_hold_for_one_statement(client: Client) -> None:
    sql = "SELECT getSetting('max_block_size')"
    default = client.execute(sql)
    assert client.execute(sql, settings={"max_block_size": 777}) == [(777,)]
    assert client.execute(sql) == default


def test_unknown_settings_are_left_out_unless_important(client: Client, server: Any) -> None:
    sql = "SELECT getSetting('max_block_size')"
    assert client.execute(sql, settings={"max_block_size": 778, "no_such_setting": 1}) == [(778,)]
    strict = server.client(settings_is_important=True)
    assert code_of(strict, sql, settings={"no_such_setting": 1}) == 115


def test_parameters_are_quoted(client: Client) -> None:
    assert client.execute("SELECT %(a)s, %(b)s", {"a": "o'x\\", "b": [1, 2]}) == [("o'x\\", [1, 2])]


@pytest.mark.parametrize(
    ("sql", "code", "data"),
    [
        ("SELECT * FROM nope", 60, None),
        ("SELEC 1", 62, None),
        ("INSERT INTO nope VALUES", 60, [(1,)]),
        ("SELECT nope FROM numbers(1)", 47, None),
        ("SELECT throwIf(number = 150000) FROM numbers(200000) SETTINGS max_block_size = 1000", 395, None),
        ("SELECT * FROM nope.nope", 81, None),
    ],
)
def test_errors_have_codes(client: Client, sql: str, code: int, data: Any) -> None:
    assert code_of(client, sql, data) == code


@pytest.mark.parametrize("sql", ["SELECT * FROM nope", "SELEC 1", "INSERT INTO nope VALUES", "DROP TABLE nope"])
def test_the_connection_goes_on_after_an_error(client: Client, sql: str) -> None:
    client.execute("SELECT 1")
    connection = client.connection  # the client itself would connect anew after an error
    for text, last in ((sql, ServerPacketTypes.EXCEPTION), ("SELECT 2", ServerPacketTypes.END_OF_STREAM)):
        connection.send_query(text)
        connection.send_external_tables([])
        kinds = []
        while not kinds or kinds[-1] not in (ServerPacketTypes.EXCEPTION, ServerPacketTypes.END_OF_STREAM):
            kinds.append(connection.receive_packet().type)
        assert kinds[-1] == last


def test_a_column_that_is_not_there(client: Client, table: str) -> None:
    client.execute(f"CREATE TABLE {table} (a Int32) ENGINE = MergeTree ORDER BY a")
    assert code_of(client, f"INSERT INTO {table} (b) VALUES", [(1,)]) == 47


def test_rows_that_the_table_refuses_store_nothing(client: Client, table: str) -> None:
    client.execute(f"CREATE TABLE {table} (a Int32, CONSTRAINT c CHECK a < 5) ENGINE = MergeTree ORDER BY a")
    assert code_of(client, f"INSERT INTO {table} VALUES", [(1,), (9,)]) == 469
    assert client.execute(f"SELECT count() FROM {table}") == [(0,)]


def test_ping_progress_and_profile(client: Client) -> None:
    client.execute("SELECT number FROM numbers(100000)")
    assert client.connection.ping()
    assert client.last_query.progress.rows >= 100_000
    assert client.last_query.profile_info.rows == 100_000
    steps = list(client.execute_with_progress("SELECT sum(sipHash64(number)) FROM numbers(30000000)"))
    assert len(steps) > 1
    assert steps[-1][0] >= 30_000_000


def test_external_tables(client: Client) -> None:
    tables = [
        {"name": "ext", "structure": [("x", "Int32"), ("y", "String")], "data": [(1, "a"), (2, "b")]},
        {"name": "ext2", "structure": [("y", "String")], "data": [("b",)]},
    ]
    sql = "SELECT sum(x) FROM ext JOIN ext2 USING (y)"
    assert client.execute(sql, external_tables=tables) == [(2,)]
    assert client.execute(sql, external_tables=tables) == [(2,)]
    assert code_of(client, sql) == 60
    bad = [{"name": "e", "structure": [("x", "NoSuchType")], "data": []}]
    with pytest.raises((errors.Error, KeyError)):
        client.execute("SELECT 1", external_tables=bad)


def test_totals_show_describe_explain(client: Client, table: str) -> None:
    client.execute(f"CREATE TABLE {table} (a Int32) ENGINE = MergeTree ORDER BY a")
    assert (table,) in client.execute("SHOW TABLES")
    assert client.execute(f"DESCRIBE TABLE {table}")[0][:2] == ("a", "Int32")
    assert client.execute("EXPLAIN SELECT 1")
    assert client.execute(f"EXISTS TABLE {table}") == [(1,)]
    rows = client.execute("SELECT number % 3 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k")
    assert rows[:3] == [(0, 4), (1, 3), (2, 3)]


def test_a_format_in_the_text_does_not_change_the_protocol(client: Client) -> None:
    assert client.execute("SELECT 1 AS a, ' FORMAT x' AS b FORMAT JSON") == [(1, " FORMAT x")]
    assert client.execute("SELECT 1 FORMAT JSON SETTINGS max_threads = 1;") == [(1,)]


def test_current_database(server: Any, table: str) -> None:
    client = server.client()
    client.execute(f"CREATE DATABASE d_{table} ENGINE = Atomic")
    client.execute(f"USE d_{table}")
    assert client.execute("SELECT currentDatabase()") == [(f"d_{table}",)]
    assert server.client(database=f"d_{table}").execute("SELECT currentDatabase()") == [(f"d_{table}",)]
    with pytest.raises(errors.ServerException) as caught:
        server.client(database="no_such_database").execute("SELECT 1")
    assert caught.value.code == 81


@pytest.mark.parametrize("who", [{"password": "wrong"}, {"password": ""}, {"user": "nobody"}])
def test_wrong_credentials(server: Any, who: dict[str, str]) -> None:
    with pytest.raises(errors.ServerException) as caught:
        server.client(**who).execute("SELECT 1")
    assert caught.value.code == 516
    assert "AUTHENTICATION_FAILED" in caught.value.message


def test_types_that_cannot_be_inserted_natively_are_refused_before_rows_are_sent(server: Any, table: str) -> None:
    client = server.client()
    client.execute(f"CREATE TABLE {table} (j JSON) ENGINE = MergeTree ORDER BY tuple()")
    assert code_of(client, f"INSERT INTO {table} VALUES", [("{}",)]) == 48
    assert client.execute("SELECT 1") == [(1,)]
    assert server.http(f"INSERT INTO {table} FORMAT JSONEachRow", b'{"j": {"a": 1}}')[0] == 200
    assert client.execute(f"SELECT j.a::Int64 FROM {table}") == [(1,)]


def test_numpy_and_frames(server: Any, table: str) -> None:
    client = server.client(settings={"use_numpy": True})
    columns = "(k LowCardinality(String), ts DateTime64(6, 'UTC'), s String, v Float64)"
    client.execute(f"CREATE TABLE {table} {columns} ENGINE = MergeTree ORDER BY k")
    frame = pd.DataFrame(
        {
            "k": pd.Series(["a", "b"], dtype=object),
            "ts": np.array(["2024-01-01T00:00:00.000001", "2024-01-02"], dtype="datetime64[ns]"),
            "s": pd.Series(["x", "y"], dtype=object),
            "v": [1.0, 2.0],
        }
    )
    assert client.insert_dataframe(f"INSERT INTO {table} VALUES", frame) == 2
    back = client.query_dataframe(f"SELECT k, s, v, toUnixTimestamp64Micro(ts) AS us FROM {table} ORDER BY k")
    assert back["v"].tolist() == [1.0, 2.0]
    assert back["us"].tolist() == [1704067200000001, 1704153600000000]
    empty = client.query_dataframe(f"SELECT k, v FROM {table} WHERE 0")
    assert list(empty.columns) == ["k", "v"]
