"""What fleetlog's views ask of ClickHouse."""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def database(server: Any, table: str) -> Any:
    """A client whose current database is a fresh Atomic one."""
    server.client().execute(f"CREATE DATABASE e_{table} ENGINE = Atomic")
    return server.client(database=f"e_{table}")


def test_views_and_tables_are_exchanged(database: Any) -> None:
    for name, value in (("v1", 1), ("v2", 2)):
        database.execute(f"CREATE TABLE {name} (a Int32) ENGINE = MergeTree ORDER BY a")
        database.execute(f"INSERT INTO {name} VALUES", [(value,)])
    database.execute("CREATE OR REPLACE VIEW live AS SELECT * FROM v1")
    assert database.execute("SELECT a FROM live") == [(1,)]
    database.execute("CREATE OR REPLACE VIEW live AS SELECT * FROM v2")
    assert database.execute("SELECT a FROM live") == [(2,)]
    database.execute("EXCHANGE TABLES v1 AND v2")
    assert database.execute("SELECT a FROM live") == [(1,)]


def test_replacing_merge_tree_with_final(database: Any) -> None:
    database.execute("CREATE TABLE r (k String, v UInt32, gone UInt8) ENGINE = ReplacingMergeTree(v, gone) ORDER BY k")
    for rows in ([("a", 1, 0), ("b", 1, 0)], [("a", 2, 0)], [("b", 2, 1)]):
        database.execute("INSERT INTO r VALUES", rows)
    assert database.execute("SELECT k, v FROM r FINAL ORDER BY k") == [("a", 2)]


def test_tokens_drop_what_is_sent_again_up_to_the_window(database: Any) -> None:
    database.execute(
        "CREATE TABLE w (v UInt64) ENGINE = MergeTree ORDER BY v SETTINGS non_replicated_deduplication_window = 3"
    )
    for token in "abcdd":
        database.execute("INSERT INTO w VALUES", [(1,)], settings={"insert_deduplication_token": token})
    assert database.execute("SELECT count() FROM w") == [(4,)]
    database.execute("INSERT INTO w VALUES", [(1,)], settings={"insert_deduplication_token": "a"})
    assert database.execute("SELECT count() FROM w") == [(5,)]


def test_the_token_decides_and_not_the_rows(database: Any) -> None:
    database.execute(
        "CREATE TABLE w (v UInt64) ENGINE = MergeTree ORDER BY v SETTINGS non_replicated_deduplication_window = 9"
    )
    for token in ("a", "b"):
        database.execute("INSERT INTO w VALUES", [(1,)], settings={"insert_deduplication_token": token})
    database.execute("INSERT INTO w VALUES", [(2,)], settings={"insert_deduplication_token": "b"})
    assert database.execute("SELECT count(), max(v) FROM w") == [(2, 1)]


@pytest.mark.parametrize(("window", "dependent", "expected"), [(0, 0, 400), (1000, 1, 200)])
def test_tokens_and_materialized_views(database: Any, window: int, dependent: int, expected: int) -> None:
    """A view's target counts a block again that the source has dropped, unless target and insert say otherwise."""
    database.execute(
        "CREATE TABLE s (k String, v Float64) ENGINE = MergeTree ORDER BY k "
        "SETTINGS non_replicated_deduplication_window = 1000"
    )
    database.execute(
        "CREATE TABLE agg (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k "
        f"SETTINGS non_replicated_deduplication_window = {window}"
    )
    database.execute("CREATE MATERIALIZED VIEW mv TO agg AS SELECT k, toUInt64(count()) AS n FROM s GROUP BY k")
    for token in ("a", "b", "a", "a"):
        settings = {"insert_deduplication_token": token, "deduplicate_blocks_in_dependent_materialized_views": dependent}
        database.execute("INSERT INTO s VALUES", [["x"] * 100, [1.0] * 100], columnar=True, settings=settings)
    assert database.execute("SELECT count() FROM s") == [(200,)]
    assert database.execute("SELECT sum(n) FROM agg") == [(expected,)]


def test_aggregate_states_and_ttl(database: Any) -> None:
    database.execute("CREATE TABLE raw (k String, v Float64) ENGINE = MergeTree ORDER BY k")
    database.execute(
        "CREATE TABLE agg (k String, mean AggregateFunction(avg, Float64)) ENGINE = AggregatingMergeTree ORDER BY k"
    )
    database.execute("CREATE MATERIALIZED VIEW mv TO agg AS SELECT k, avgState(v) AS mean FROM raw GROUP BY k")
    for value in (1.0, 2.0, 6.0):
        database.execute("INSERT INTO raw VALUES", [("a", value)])
    assert database.execute("SELECT avgMerge(mean) FROM agg") == [(3.0,)]
    database.execute("CREATE TABLE old (ts DateTime, v UInt8) ENGINE = MergeTree ORDER BY ts TTL ts + INTERVAL 1 SECOND")
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    database.execute("INSERT INTO old VALUES", [(now - dt.timedelta(days=1), 1), (now + dt.timedelta(days=1), 2)])
    database.execute("OPTIMIZE TABLE old FINAL")
    assert database.execute("SELECT v FROM old") == [(2,)]


def test_parts_are_merged_in_the_background(database: Any, eventually: Callable[..., None]) -> None:
    database.execute("CREATE TABLE m (a UInt64) ENGINE = MergeTree ORDER BY a")
    for number in range(40):
        database.execute("INSERT INTO m VALUES", [(number,)])
    parts = "SELECT count() FROM system.parts WHERE active AND database = currentDatabase() AND table = 'm'"
    eventually(lambda: database.execute(parts)[0][0] < 20)
    assert database.execute("SELECT count() FROM m") == [(40,)]


def test_microseconds_are_kept(database: Any) -> None:
    database.execute(
        "CREATE TABLE d (t DateTime64(6, 'UTC'), n Nullable(DateTime64(6, 'UTC'))) ENGINE = MergeTree ORDER BY t"
    )
    moments = [dt.datetime(1970, 1, 1, 0, 0, 0, 1, dt.UTC), dt.datetime(2199, 12, 31, 23, 59, 59, 999_999, dt.UTC)]
    database.execute("INSERT INTO d VALUES", [(moments[0], None), (moments[1], moments[1])])
    database.execute("INSERT INTO d VALUES", [[1_704_067_200_000_001], [None]], columnar=True)
    rows = database.execute("SELECT t, n, toUnixTimestamp64Micro(t) FROM d ORDER BY t")
    assert [row[:2] for row in (rows[0], rows[2])] == [(moments[0], None), (moments[1], moments[1])]
    assert rows[1][2] == 1_704_067_200_000_001


def test_the_configuration_is_in_force(database: Any) -> None:
    sql = "SELECT value FROM system.server_settings WHERE name = 'mark_cache_size'"
    assert database.execute(sql) == [("67108864",)]
    began = time.monotonic()
    assert database.execute("SELECT 1") == [(1,)]
    assert time.monotonic() - began < 5
