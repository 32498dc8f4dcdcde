"""ClickHouse killed at any instant: every acknowledged append is there, none is half there, and what is appended again
is there once."""

import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.clickhouse_ddl import Statements
from connectors.clickhouse_store import ClickHouseRowStore
from connectors.ports import Away, Moved
from infra.stack.harness import Stack, running_stack
from tests.ports.stores import TABLE, A, B, clickhouse, rows_of

SEED = 20_261_121
STEP = 40  # records of an append


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A ClickHouse that may be killed."""
    with running_stack(tmp_path_factory.mktemp("crash"), only=("clickhouse",)) as stack:
        yield stack


def open_store(stack: Stack, database: str) -> ClickHouseRowStore:
    settings = stack.settings
    store = ClickHouseRowStore(settings.clickhouse, settings.clickhouse_port, "default", "", database, TABLE)
    store.prepare(1)
    return store


def away(*_: object) -> str:
    raise Away("the test ends the connection here")


def test_a_crash_between_rows_and_position_loses_and_doubles_nothing(own: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(own, "between")
    with monkeypatch.context() as patch:
        patch.setattr(Statements, "store_position", away)
        with pytest.raises(Away):
            store.append(1, A, 0, STEP, rows_of(A, 0, STEP))
    own.kill("clickhouse")
    own.wait_healthy("clickhouse")
    again = open_store(own, "between")
    for each in (store, again):
        with pytest.raises(Moved) as moved:
            each.append(1, A, 0, STEP, rows_of(A, 0, STEP))
        assert moved.value.actual == STEP
    assert again.positions(1) == {A: STEP}
    again.append(1, A, STEP, 2 * STEP, rows_of(A, STEP, 2 * STEP))
    assert again.counts(1, A, 0, 999) == dict.fromkeys(range(2 * STEP), 2)
    store.close()
    again.close()


def test_a_token_that_outlived_its_block_does_not_swallow_the_block(own: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server writes a block's token down before the block has its place. Killed in between, it knows the token and
    has no rows: made here by taking the part away while the server is down."""
    store = open_store(own, "token")
    store.append(1, A, 0, STEP, rows_of(A, 0, STEP))
    store.append(1, B, 0, STEP, rows_of(B, 0, STEP))
    with monkeypatch.context() as patch:
        patch.setattr(Statements, "store_position", away)
        with pytest.raises(Away):
            store.append(1, A, STEP, 2 * STEP, rows_of(A, STEP, 2 * STEP))
    _take_away_newest_part(own, "token")
    assert store.positions(1) == {A: STEP, B: STEP}
    store.append(1, A, STEP, 2 * STEP, rows_of(A, STEP, 2 * STEP))
    assert store.counts(1, A, 0, 999) == dict.fromkeys(range(2 * STEP), 2)
    assert store.positions(1) == {A: 2 * STEP, B: STEP}
    store.close()


def test_a_writer_that_knows_its_position_does_not_fall_for_anothers_token(
    own: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token was left by a second writer, and the first one's dead connection is replaced without a word."""
    store, zombie = open_store(own, "zombie"), open_store(own, "zombie")
    store.append(1, A, 0, STEP, rows_of(A, 0, STEP))
    with monkeypatch.context() as patch:
        patch.setattr(Statements, "store_position", away)
        with pytest.raises(Away):
            zombie.append(1, A, STEP, 2 * STEP, rows_of(A, STEP, 2 * STEP))
    _take_away_newest_part(own, "zombie")
    store.append(1, A, STEP, 2 * STEP, rows_of(A, STEP, 2 * STEP))
    assert store.counts(1, A, 0, 999) == dict.fromkeys(range(2 * STEP), 2)
    store.close()
    zombie.close()


def _take_away_newest_part(own: Stack, database: str) -> None:
    plain = clickhouse(own.settings)
    plain.execute(f"SYSTEM STOP MERGES {database}.{TABLE.name}_v1")
    found = plain.execute(
        "SELECT path FROM system.parts WHERE active AND database = %(database)s AND table = %(table)s "
        "ORDER BY max_block_number DESC LIMIT 1",
        {"database": database, "table": f"{TABLE.name}_v1"},
    )
    plain.disconnect()
    own.stop("clickhouse")
    path = Path(found[0][0])
    assert path.is_dir()
    shutil.rmtree(path)
    own.start("clickhouse")


def test_kill_9_in_appends(own: Stack) -> None:
    dice = random.Random(SEED)
    for _ in range(4):
        acknowledged = {A: 0, B: 0}
        writer = threading.Thread(target=_write, args=(own, acknowledged))
        writer.start()
        until = time.monotonic() + 20
        while not all(acknowledged.values()) and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(dice.uniform(0.0, 0.4))
        own.kill("clickhouse")
        writer.join()
        own.wait_healthy("clickhouse")
        store = open_store(own, "killed")
        positions = store.positions(1)
        for source in (A, B):
            assert positions[source] - acknowledged[source] in (0, STEP)
            assert store.counts(1, source, 0, 10**6) == dict.fromkeys(range(positions[source]), 2)
        store.close()
    _same_as_unharmed(own)


def _write(own: Stack, acknowledged: dict[object, int]) -> None:
    """Append to both partitions in turn until the server dies."""
    store = open_store(own, "killed")
    at = {source: store.positions(1).get(source, 0) for source in (A, B)}
    try:
        while True:
            for source in (A, B):
                first, following = at[source], at[source] + STEP
                store.append(1, source, first, following, rows_of(source, first, following))
                at[source] = acknowledged[source] = following
    except Away:
        store.close()


def _same_as_unharmed(own: Stack) -> None:
    """The version that went through the kills equals one that is written in peace."""
    store = open_store(own, "killed")
    positions = store.positions(1)
    store.prepare(2)
    for source, end in positions.items():
        store.append(2, source, 0, end, rows_of(source, 0, end))
    assert store.digests(1, positions) == store.digests(2, positions)
    assert len(store.digests(1, positions)) == 3
    store.close()
