"""What the ClickHouse store promises beyond the port: tables for analysts, exact values, and how it fails."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
from clickhouse_driver import Client, errors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import clickhouse_client, clickhouse_store
from connectors.clickhouse_ddl import HIDDEN
from connectors.clickhouse_store import ClickHouseRowStore
from connectors.ports import Away, Moved
from infra.stack.harness import Stack
from schemas.table import Column, ColumnType, Table
from tests.ports.stores import TABLE, A, B, clickhouse, frame, row, rows_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Make = Callable[..., ClickHouseRowStore]


@pytest.fixture
def table() -> Table:
    return replace(TABLE, name=f"v{uuid4().hex}")


@pytest.fixture
def make(services: Stack, table: Table) -> Iterator[Make]:
    made: list[ClickHouseRowStore] = []

    def store(of: Table = table, **other: Any) -> ClickHouseRowStore:
        where = {"host": services.settings.clickhouse, "port": services.settings.clickhouse_port} | other
        made.append(ClickHouseRowStore(user="default", password="", database="suite", table=of, **where))
        return made[-1]

    yield store
    for each in made:
        each.close()


@pytest.fixture
def plain(services: Stack) -> Iterator[Client]:
    client = clickhouse(services.settings)
    yield client
    client.disconnect()


def blocks(plain: Client, table: Table, version: int = 1) -> int:
    """How many blocks were inserted, merged since or not."""
    (count,) = plain.execute(
        "SELECT max(max_block_number) FROM system.parts WHERE active AND database = 'suite' AND table = %(name)s",
        {"name": f"{table.name}_v{version}"},
    )[0]
    return int(count)


def test_readers_see_the_live_version_with_its_docs(make: Make, plain: Client, table: Table) -> None:
    store = make()
    store.prepare(1)
    store.prepare(2)
    store.append(1, A, 0, 2, rows_of(A, 0, 2))
    store.append(2, A, 0, 3, rows_of(A, 0, 3))
    seen = f"SELECT count() FROM suite.{table.name}"
    assert plain.execute(seen) == [(4,)]
    store.promote(2)
    assert plain.execute(seen) == [(6,)]
    for name, own in ((table.name, ()), (f"{table.name}_v1", HIDDEN)):
        described = plain.execute(
            "SELECT name, comment FROM system.columns WHERE database = 'suite' AND table = %(name)s ORDER BY position",
            {"name": name},
        )
        assert described == [(column.name, column.doc) for column in (*table.columns, *own)]


def test_a_view_that_was_first_rebuilt_has_readers_too(make: Make, plain: Client, table: Table) -> None:
    store = make()
    store.prepare(2)
    assert store.live() == 1
    store.append(2, A, 0, 3, rows_of(A, 0, 3))
    store.promote(2)
    assert store.live() == 2
    assert plain.execute(f"SELECT count() FROM suite.{table.name}") == [(6,)]


def test_a_row_written_twice_is_read_once(make: Make, plain: Client, table: Table) -> None:
    first, zombie = make(), make()
    first.prepare(1)
    zombie.positions(1)
    zombie._check = lambda *_: None  # type: ignore[method-assign] # it looked before the other one wrote
    first.append(1, A, 0, 5, rows_of(A, 0, 5))
    before = first.digests(1, {A: 99})
    zombie.append(1, A, 0, 4, rows_of(A, 0, 4))
    assert plain.execute(f"SELECT count() FROM suite.{table.name}_v1") == [(18,)]
    assert plain.execute(f"SELECT count() FROM suite.{table.name}") == [(10,)]
    assert first.counts(1, A, 0, 9) == dict.fromkeys(range(5), 2)
    assert first.digests(1, {A: 99}) == before
    assert first.positions(1) == {A: 5}


def test_a_large_append_is_cut_between_records(
    make: Make, plain: Client, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clickhouse_store, "MOST_BYTES", 20_000)
    store = make()
    store.prepare(1)
    texts = ["x" * (5_000 if offset == 7 else offset) for offset in range(100) for _ in range(3)]
    rows = rows_of(A, 0, 100, readings=3).with_columns(note=pl.Series(texts)).reverse()
    store.append(1, A, 0, 105, rows)
    assert 2 < blocks(plain, table) < 10
    assert store.counts(1, A, 0, 105) == dict.fromkeys(range(100), 3)
    whole = make(replace(table, name=f"{table.name}w"))
    monkeypatch.setattr(clickhouse_store, "MOST_BYTES", 1 << 30)
    whole.prepare(1)
    whole.append(1, A, 0, 105, rows)
    assert whole.digests(1, {A: 999}) == store.digests(1, {A: 999})
    assert store.positions(1) == {A: 105}


def test_an_append_of_very_many_rows_is_one_block(make: Make, plain: Client) -> None:
    columns = (*TABLE.columns[:3], Column("key", ColumnType.LABEL, "Key."))
    narrow = Table(f"v{uuid4().hex}", columns, ("key",), ("topic", "partition", "offset"), key="key")
    store, rows = make(narrow), 1_200_000
    store.prepare(1)
    offsets = pl.int_range(rows, eager=True, dtype=pl.Int64)
    many = pl.DataFrame({"offset": offsets}).with_columns(topic=pl.lit(A.topic), partition=0, key=pl.lit("k"))
    store.append(1, A, 0, rows, many.with_columns(partition=pl.lit(0, pl.Int64)))
    assert blocks(plain, narrow) == 1
    assert store.positions(1) == {A: rows}


def test_a_table_of_another_definition_is_refused(make: Make, table: Table) -> None:
    make().prepare(1)
    grown = replace(table, columns=(*table.columns, Column("more", ColumnType.LONG, "More.")))
    with pytest.raises(ValueError, match="more"):
        make(grown).prepare(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Upper"}, "not a name"),
        ({"name": "telemetry_v1"}, "not a name"),
        ({"name": "a; DROP TABLE b"}, "not a name"),
        ({"identity": ("offset", "reading")}, "lacks topic, partition"),
        ({"order": ("nowhere",)}, "no column nowhere"),
        ({"order": ("unit",)}, "unit may not be nullable"),
        ({"columns": TABLE.columns[1:]}, "does not start with"),
    ],
)
def test_a_table_that_no_store_takes_is_refused(make: Make, table: Table, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(replace(table, **change))


def test_a_refused_connection_is_away(make: Make) -> None:
    store = make(port=1)
    calls: list[Callable[[], object]] = [
        store.live,
        store.versions,
        lambda: store.prepare(1),
        lambda: store.positions(1),
        lambda: store.append(1, A, 0, 1, rows_of(A, 0, 1)),
        lambda: store.digests(1, {A: 1}),
        lambda: store.counts(1, A, 0, 1),
    ]
    for call in calls:
        with pytest.raises(Away):
            call()


def test_a_wrong_statement_is_a_bug(make: Make) -> None:
    with pytest.raises(errors.ServerException):
        make()._server.query("SELECT nonsense(")


def test_a_stopped_server_is_away_and_a_late_block_is_there_once(
    make: Make, plain: Client, table: Table, services: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clickhouse_store, "TIMEOUT", 1.0)
    monkeypatch.setattr(clickhouse_client, "CONNECT_TIMEOUT", 1.0)
    store = make()
    store.prepare(1)
    store.append(1, A, 0, 5, rows_of(A, 0, 5))
    insert = store._server.insert

    def stopped_in_between(*arguments: Any) -> None:
        store._server.query("SELECT 1")  # the connection is fresh, so that the block itself is sent
        os.kill(services.pid("clickhouse"), signal.SIGSTOP)
        insert(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(store._server, "insert", stopped_in_between)
        try:
            with pytest.raises(Away):
                store.append(1, A, 5, 9, rows_of(A, 5, 9))
        finally:
            os.kill(services.pid("clickhouse"), signal.SIGCONT)
    services.wait_healthy("clickhouse")
    with suppress(Moved):  # the late block came first
        store.append(1, A, 5, 9, rows_of(A, 5, 9))
    assert plain.execute(f"SELECT count() FROM suite.{table.name}") == [(18,)]
    assert store.positions(1) == {A: 9}


def test_workers_that_prepare_at_once_do_not_disturb_each_other(make: Make) -> None:
    stores = [make() for _ in range(4)]
    failures: list[BaseException] = []

    def prepare(store: ClickHouseRowStore) -> None:
        try:
            for version in (1, 2):
                store.prepare(version)
        except (Away, errors.Error, ValueError) as error:
            failures.append(error)

    threads = [threading.Thread(target=prepare, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stores[0].versions() == [1, 2]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.integers(0, 20_000).map(lambda n: "ü" * n)
MOMENT = st.integers(-2_208_988_800_000_000, 7_258_118_399_999_999)
VALUES = st.fixed_dictionaries(
    {
        "device_id": TEXT,
        "metric": st.sampled_from(["a", "b", ""]) | TEXT,
        "unit": st.none() | st.sampled_from(["C", ""]) | TEXT,
        "at": MOMENT,
        "seen": st.none() | MOMENT,
        "value": st.floats(allow_nan=False),
        "limit": st.none() | st.floats(allow_nan=False),
        "good": st.booleans(),
        "checked": st.none() | st.booleans(),
        "total": st.none() | st.integers(-(2**63), 2**63 - 1),
        "note": st.none() | TEXT,
        "loads": st.lists(st.floats(allow_nan=False), max_size=4),
        "files": st.lists(TEXT, max_size=3),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(VALUES, min_size=1, max_size=12))
def test_every_value_comes_back_as_it_was(make: Make, plain: Client, table: Table, values: list[dict[str, Any]]) -> None:
    store = make()
    store.prepare(1)
    first = store.positions(1).get(B, 0)
    written = [row(B, first + number, **value) for number, value in enumerate(values)]
    store.append(1, B, first, first + len(values), frame(written))
    columns = ", ".join(f"`{name}`" for name in table.names)
    found = plain.execute(f"SELECT {columns} FROM suite.{table.name} WHERE offset >= {first} ORDER BY offset")
    expected = [dict(zip(table.names, each, strict=True)) for each in found]
    for each in expected:
        for name in ("at", "seen"):
            if each[name] is not None:
                each[name] = (each[name] - EPOCH) // timedelta(microseconds=1)
    assert written == expected


@pytest.mark.parametrize("distinct", [1, 255, 256, 257, 65_535, 65_536, 65_537])
def test_labels_of_any_number_come_back(make: Make, plain: Client, table: Table, distinct: int) -> None:
    store = make()
    store.prepare(1)
    numbers = pl.int_range(distinct, eager=True, dtype=pl.Int64)
    rows = (
        frame([row(A, 0)])
        .drop("offset", "metric", "unit")
        .join(
            pl.DataFrame({"offset": numbers, "metric": numbers.cast(pl.String), "unit": numbers.cast(pl.String)}),
            how="cross",
        )
    )
    store.append(1, A, 0, distinct, rows)
    wrong = "countIf(metric != toString(offset) OR unit != toString(offset) OR unit IS NULL)"
    assert plain.execute(f"SELECT count(), {wrong} FROM suite.{table.name}") == [(distinct, 0)]
