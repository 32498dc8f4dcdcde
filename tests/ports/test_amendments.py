"""Rows that are put in place of others: whoever reads meanwhile sees all old ones or all new ones."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from clickhouse_driver import Client

from connectors.clickhouse_store import ClickHouseRowStore
from infra.stack.harness import Stack
from schemas.table import Column, ColumnType, Table
from tests.ports.stores import TABLE, A, clickhouse, frame, row, rows_of

AT = 3  # the offset of the record whose rows are amended
Seen = tuple[tuple[Any, ...], ...]


@pytest.fixture
def table() -> Table:
    return replace(TABLE, name=f"v{uuid4().hex}")


@pytest.fixture
def store(services: Stack, table: Table) -> Iterator[ClickHouseRowStore]:
    settings = services.settings
    made = ClickHouseRowStore(settings.clickhouse, settings.clickhouse_port, "default", "", "suite", table)
    made.prepare(1)
    yield made
    made.close()


@pytest.fixture
def plain(services: Stack) -> Iterator[Client]:
    client = clickhouse(services.settings)
    yield client
    client.disconnect()


def states(chance: random.Random, how_many: int, least: int = 0) -> list[list[dict[str, Any]]]:
    """What the record may be made into: readings that stay, change their value, move to another place, come and go."""
    return [
        [
            row(A, AT, reading, value=float(turn), device_id=f"device-{chance.randint(0, 2)}", at=chance.randint(1, 3))
            for reading in range(chance.randint(least, 3))
        ]
        for turn in range(how_many)
    ]


def seen(rows: list[dict[str, Any]]) -> Seen:
    return tuple(sorted((one["reading"], one["device_id"], one["value"]) for one in rows))


def read(client: Client, table: Table) -> Seen:
    found = client.execute(f"SELECT reading, device_id, value FROM suite.{table.name} WHERE offset = {AT}")
    return tuple(sorted(found))


def test_a_reader_in_a_loop_sees_whole_records_only(
    store: ClickHouseRowStore, services: Stack, table: Table, plain: Client
) -> None:
    first = [row(A, AT, 0, value=-1.0), row(A, AT, 1, value=-1.0)]
    store.append(1, A, 0, 6, frame([*first, row(A, 4)]))
    made = states(random.Random(7), 40, least=1)
    allowed, found, stop = {seen(first), *map(seen, made)}, list[Seen](), threading.Event()

    def reading() -> None:
        client = clickhouse(services.settings)
        while not stop.is_set():
            found.append(read(client, table))
        client.disconnect()

    readers = [threading.Thread(target=reading) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for state in made:
            store.amend(1, A, AT, AT + 1, frame(state))
            assert read(plain, table) == seen(state)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert len(set(found)) > 5
    assert set(found) <= allowed, f"torn: {set(found) - allowed}"
    assert plain.execute(f"SELECT count() FROM suite.{table.name} WHERE offset = 4") == [(1,)]


def test_amended_rows_are_those_of_a_version_that_had_them_from_the_beginning(store: ClickHouseRowStore) -> None:
    store.append(1, A, 0, 6, rows_of(A, 0, 5))
    for turn, state in enumerate(states(random.Random(8), 12)):
        for _ in range(2):  # the same again changes nothing
            store.amend(1, A, AT, AT + 1, frame(state))
        store.prepare(2 + turn)
        others = [one for one in rows_of(A, 0, 5).to_dicts() if one["offset"] != AT]
        store.append(2 + turn, A, 0, 6, frame([*others, *state]))
        assert store.digests(1, {A: 6}) == store.digests(2 + turn, {A: 6})
        assert store.counts(1, A, 0, 9) == store.counts(2 + turn, A, 0, 9)


def test_merged_or_not_and_written_again_by_a_late_writer_it_stays_amended(
    store: ClickHouseRowStore, plain: Client, table: Table
) -> None:
    first = frame([row(A, AT, 0), row(A, AT, 1)])
    store.append(1, A, 0, 6, first)
    store.amend(1, A, AT, AT + 1, frame([row(A, AT, 1, value=7.0)]))
    names = ", ".join(f"`{name}`" for name in table.names)
    for _ in range(2):
        assert read(plain, table) == ((1, "device-0", 7.0),)
        # as one who does not know yet that the partition was lost to another
        plain.execute(f"INSERT INTO suite.{table.name}_v1 ({names}) VALUES", first.rows())
        assert read(plain, table) == ((1, "device-0", 7.0),)
        plain.execute(f"OPTIMIZE TABLE suite.{table.name}_v1 FINAL")


def test_a_version_of_before_is_rebuilt_and_not_amended(
    store: ClickHouseRowStore, plain: Client, table: Table, services: Stack
) -> None:
    store.append(1, A, 0, 6, rows_of(A, 0, 5))
    old = f"suite.{table.name}_v1"
    described = plain.execute(f"SHOW CREATE TABLE {old}")[0][0]
    without = "\n".join(line for line in described.splitlines() if "`_amended`" not in line and "`_gone`" not in line)
    plain.execute(f"DROP TABLE {old} SYNC")
    plain.execute(without.replace("(_amended, _gone)", ""))
    store.append(1, A, 6, 8, rows_of(A, 6, 7))
    store.prepare(1)
    with pytest.raises(ValueError, match="rebuild the view, which takes all corrections"):
        store.amend(1, A, 6, 7, frame([]))
    assert store.counts(1, A, 6, 7) == {6: 2}


@pytest.mark.parametrize("name", ["_amended", "_gone"])
def test_no_table_has_a_column_of_the_stores_own(name: str, make_table: Callable[[str], Table]) -> None:
    with pytest.raises(ValueError, match=f"has a column {name}, which is the store's own"):
        ClickHouseRowStore("127.0.0.1", 1, "default", "", "suite", make_table(name))


@pytest.fixture
def make_table() -> Callable[[str], Table]:
    return lambda name: replace(TABLE, columns=(*TABLE.columns, Column(name, ColumnType.LONG, "Not ours.")))
