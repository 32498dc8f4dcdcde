"""The contract of RowStore, on the in-memory version and on ClickHouse."""

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.ports import Moved, Superseded
from infra.stack.harness import Stack
from schemas.log import TopicPartition
from tests.ports.stores import OTHER, A, B, Opened, Store, frame, open_view, row, rows_of

EVERYTHING = {A: 2**62, B: 2**62, OTHER: 2**62}


@pytest.fixture
def store(rows: Opened) -> Store:
    opened = rows.open()
    opened.prepare(1)
    opened.prepare(2)
    return opened


def test_counts_are_the_rows_of_each_offset(store: Store) -> None:
    store.append(1, A, 0, 10, frame([row(A, 2), row(A, 2, 1), row(A, 5)]))
    store.append(1, B, 0, 10, frame([row(B, 2)]))
    assert store.counts(1, A, 0, 10) == {2: 2, 5: 1}
    assert store.counts(1, A, 3, 5) == {}
    assert store.counts(1, A, 2, 3) == {2: 2}
    assert store.counts(1, B, 0, 10) == {2: 1}
    assert store.counts(1, OTHER, 0, 10) == {}
    assert store.counts(2, A, 0, 10) == {} == store.counts(77, A, 0, 10)


def test_an_append_without_rows_moves_the_position(store: Store) -> None:
    store.append(1, A, 0, 10, frame([]))
    assert store.positions(1) == {A: 10}
    store.append(1, A, 10, 12, rows_of(A, 10, 11))
    assert store.positions(1) == {A: 12}
    assert store.counts(1, A, 0, 20) == {10: 2}


def test_an_append_behind_the_position_is_refused_whole(rows: Opened, store: Store) -> None:
    store.append(1, A, 0, 10, rows_of(A, 0, 10))
    for opened in (store, rows.open()):
        for first, following in ((0, 10), (9, 12), (0, 20)):
            with pytest.raises(Moved) as moved:
                opened.append(1, A, first, following, rows_of(A, first, following))
            assert (moved.value.source, moved.value.expected, moved.value.actual) == (A, first, 10)
    assert store.positions(1) == {A: 10}
    assert store.counts(1, A, 0, 30) == dict.fromkeys(range(10), 2)


def test_what_another_handle_wrote_is_noticed(rows: Opened, store: Store) -> None:
    other = rows.open()
    store.append(1, A, 0, 5, rows_of(A, 0, 5))
    other.append(1, A, 5, 9, rows_of(A, 5, 9))
    with pytest.raises(Moved) as moved:
        store.append(1, A, 5, 7, rows_of(A, 5, 7))
    assert moved.value.actual == 9
    store.append(1, A, 9, 10, rows_of(A, 9, 10))
    assert store.positions(1) == {A: 10} == other.positions(1)


def test_a_version_made_anew_by_another_handle_starts_at_nothing(rows: Opened, store: Store) -> None:
    store.append(2, A, 0, 5, rows_of(A, 0, 5))
    other = rows.open()
    other.drop(2)
    other.prepare(2)
    store.append(2, A, 0, 5, rows_of(A, 0, 5))
    assert other.counts(2, A, 0, 9) == dict.fromkeys(range(5), 2)
    assert other.positions(2) == {A: 5}


def test_an_append_beyond_the_position_leaves_a_hole(store: Store) -> None:
    """Control records leave holes in the log; whether one is a gap is the carrier's question."""
    store.append(1, A, 0, 5, rows_of(A, 0, 5))
    store.append(1, A, 7, 9, rows_of(A, 7, 9))
    assert store.positions(1) == {A: 9}
    assert store.counts(1, A, 4, 9) == {4: 2, 7: 2, 8: 2}


def test_digests_do_not_depend_on_the_order_or_the_blocks(store: Store) -> None:
    rows = rows_of(A, 0, 9)
    store.append(1, A, 0, 9, rows)
    for first, following in ((0, 2), (2, 3), (3, 9)):
        part = rows.filter(pl.col("offset").is_between(first, following - 1))
        store.append(2, A, first, following, part.reverse())
    found = store.digests(1, EVERYTHING)
    assert sorted(found) == ["device-0", "device-1", "device-2"]
    assert store.digests(2, EVERYTHING) == found
    assert len(set(found.values())) == 3


def test_digests_are_cut_per_partition(store: Store) -> None:
    store.append(1, A, 0, 6, rows_of(A, 0, 6))
    store.append(1, B, 0, 6, rows_of(B, 0, 6))
    store.append(2, A, 0, 2, rows_of(A, 0, 2))
    store.append(2, B, 0, 5, rows_of(B, 0, 5))
    until = {A: 2, B: 5}
    assert store.digests(1, until) == store.digests(2, until) != store.digests(1, EVERYTHING)
    assert store.digests(1, {}) == {} == store.digests(1, {OTHER: 9}) == store.digests(77, EVERYTHING)
    assert sorted(store.digests(1, {A: 1})) == ["device-0"]


DIFFERENCES: list[dict[str, Any]] = [
    {"metric": "humidity"},
    {"unit": ""},
    {"unit": "C"},
    {"at": 1},
    {"seen": 0},
    {"seen": 1_700_000_000_000_000},
    {"value": 1e-300},
    {"value": float("nan")},
    {"value": float("-inf")},
    {"limit": 0.0},
    {"good": False},
    {"checked": False},
    {"checked": True},
    {"total": 0},
    {"total": -1},
    {"note": ""},
    {"note": "x" * 5_000},
    {"note": "é\x00'\\\n"},
    {"loads": []},
    {"loads": [0.0, 0.5]},
    {"files": [""]},
    {"files": ["a", "b"]},
    {"files": ["ab"]},
    {"device_id": "device-0 "},
    {"offset": 1},
    {"reading": 1},
]


def test_any_other_value_makes_another_digest(store: Store) -> None:
    """A null is not a default, and texts do not run into each other."""
    for number, difference in enumerate([{}, *DIFFERENCES]):
        version = 10 + number
        store.prepare(version)
        store.append(version, A, 0, 9, frame([row(A, 0, note=None) | difference]))
    found = [str(store.digests(10 + number, EVERYTHING)) for number in range(len(DIFFERENCES) + 1)]
    assert len(set(found)) == len(found)


def test_the_rows_of_a_record_may_be_of_several_keys(store: Store) -> None:
    store.append(1, A, 0, 1, frame([row(A, 0, 0, device_id="x"), row(A, 0, 1, device_id="ÿ")]))
    assert sorted(store.digests(1, EVERYTHING)) == ["x", "ÿ"]
    assert store.counts(1, A, 0, 1) == {0: 2}


def test_timestamps_are_taken_as_microseconds_or_as_moments(store: Store) -> None:
    plain = rows_of(A, 0, 4).with_columns(seen=pl.col("at"))
    moments = plain.with_columns(pl.col("at", "seen").cast(pl.Datetime("us")))
    aware = plain.with_columns(pl.col("at", "seen").cast(pl.Datetime("us", "UTC")))
    for version, given_rows in ((1, plain), (2, moments), (3, aware)):
        store.prepare(version)
        store.append(version, A, 0, 4, given_rows)
    assert store.digests(1, EVERYTHING) == store.digests(2, EVERYTHING) == store.digests(3, EVERYTHING)


BAD_ROWS: list[tuple[str, Any]] = [
    ("columns note", lambda rows: rows.drop("note")),
    ("columns extra", lambda rows: rows.with_columns(extra=1)),
    ("value is String", lambda rows: rows.with_columns(value=pl.lit("1"))),
    ("at is Datetime", lambda rows: rows.with_columns(pl.col("at").cast(pl.Datetime("ms")))),
    ("metric has 8 nulls", lambda rows: rows.with_columns(metric=pl.lit(None, pl.String))),
    ("files has 8 nulls", lambda rows: rows.with_columns(files=pl.lit(None, pl.List(pl.String)))),
    ("loads has 8 nulls", lambda rows: rows.with_columns(loads=pl.concat_list(pl.lit(None, pl.Float64)))),
    ("total: ", lambda rows: rows.with_columns(total=pl.lit(2**63, pl.UInt64))),
    ("do not come from", lambda rows: rows.with_columns(topic=pl.lit("another"))),
    ("do not come from", lambda rows: rows.with_columns(partition=pl.lit(7))),
    ("do not come from", lambda rows: rows.with_columns(offset=pl.col("offset") + 1)),
    ("do not come from", lambda rows: rows.with_columns(offset=pl.col("offset") - 1)),
]


@pytest.mark.parametrize(("message", "spoil"), BAD_ROWS)
def test_rows_that_break_the_table_are_refused_whole(store: Store, message: str, spoil: Any) -> None:
    with pytest.raises(ValueError, match=message):
        store.append(1, A, 3, 7, spoil(rows_of(A, 3, 7)))
    assert store.positions(1) == {}
    assert store.counts(1, A, 0, 10) == {}


OPERATION = st.one_of(
    st.tuples(
        st.just("append"),
        st.integers(0, 1),  # which of two handles
        st.sampled_from([1, 1, 2]),
        st.sampled_from([A, B]),
        st.integers(-3, 2),  # how far the first record is from the stored position
        st.integers(1, 8),  # how many records
        st.integers(0, 2),  # rows of each
    ),
    st.tuples(st.just("positions"), st.integers(0, 1), st.integers(1, 2)),
    st.tuples(st.sampled_from(["promote", "drop", "prepare"]), st.integers(0, 1), st.integers(1, 2)),
)


def outcome(handles: list[Store], operation: tuple[Any, ...]) -> Any:
    """What an operation does, in terms that both stores share."""
    name, handle, *details = operation
    store = handles[handle]
    try:
        if name != "append":
            return getattr(store, name)(*details)
        version, source, off, records, readings = details
        # By a third handle, so that what the writing one knows is what it learnt itself.
        first = max(0, handles[2].positions(version).get(source, 0) + off)
        return store.append(version, source, first, first + records, rows_of(source, first, first + records, readings))
    except Moved as moved:
        return "moved", moved.source, moved.expected, moved.actual
    except (Superseded, ValueError) as error:
        return type(error)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(operations=st.lists(OPERATION, max_size=14))
def test_clickhouse_does_what_memory_does(services: Stack, operations: list[tuple[Any, ...]]) -> None:
    opened: list[Store] = []
    views = [open_view(kind, services.settings, opened) for kind in ("memory rows", "clickhouse")]
    memory, clickhouse = ([view.open() for _ in range(3)] for view in views)
    for handles in (memory, clickhouse):
        handles[0].prepare(1)
    for operation in operations:
        assert outcome(clickhouse, operation) == outcome(memory, operation), operation
    ours, theirs = clickhouse[0], memory[0]
    assert ours.live() == theirs.live()
    assert ours.versions() == theirs.versions()
    for version in (1, 2):
        assert ours.positions(version) == theirs.positions(version)
        for source in (A, B):
            assert ours.counts(version, source, 0, 1_000) == theirs.counts(version, source, 0, 1_000)
        assert _row_counts(ours.digests(version, EVERYTHING)) == _row_counts(theirs.digests(version, EVERYTHING))
    same = [store.digests(1, EVERYTHING) == store.digests(2, EVERYTHING) for store in (ours, theirs)]
    assert same[0] == same[1]
    for store in opened:
        store.close()


def _row_counts(digests: dict[str, str]) -> dict[str, str]:
    """Both stores' digests begin with the number of rows."""
    return {key: digest.partition(":")[0] for key, digest in digests.items()}


def test_positions_hold_partitions_of_several_topics(store: Store) -> None:
    far = TopicPartition("it's \\ a topic", 2**31 - 1)
    store.append(1, far, 2**53, 2**53 + 1, rows_of(far, 2**53, 2**53 + 1))
    store.append(1, A, 0, 1, rows_of(A, 0, 1))
    assert store.positions(1) == {far: 2**53 + 1, A: 1}
    assert store.counts(1, far, 2**53, 2**53 + 1) == {2**53: 2}
    assert len(store.digests(1, {far: 2**53 + 1})) == 1


def test_the_rows_of_a_record_are_put_in_place_of_those_it_had(store: Store) -> None:
    store.append(1, A, 0, 6, rows_of(A, 0, 5))
    store.append(1, B, 0, 6, rows_of(B, 0, 5))
    before = store.digests(1, EVERYTHING)
    of_three = [row(A, 3), row(A, 3, 1)]
    for made, count in ((frame([row(A, 3, 7, value=9.0)]), {3: 1}), (frame([]), {}), (frame(of_three), {3: 2})):
        for _ in range(2):
            store.amend(1, A, 3, 4, made)
            assert store.counts(1, A, 3, 4) == count
    assert store.digests(1, EVERYTHING) == before
    store.amend(1, A, 5, 6, frame([row(A, 5)]))  # a record that had no rows
    assert store.counts(1, A, 0, 9) == {**dict.fromkeys(range(5), 2), 5: 1}
    assert store.counts(1, B, 0, 9) == dict.fromkeys(range(5), 2)
    assert store.positions(1) == {A: 6, B: 6}


def test_the_rows_of_a_range_of_records_are_put_in_place_of_those_they_had(store: Store) -> None:
    store.append(1, A, 0, 6, rows_of(A, 0, 5))
    for _ in range(2):
        store.amend(1, A, 1, 5, frame([row(A, 2, 3), row(A, 2), row(A, 4, device_id="other")]))
        assert store.counts(1, A, 0, 9) == {0: 2, 2: 2, 4: 1}
    with pytest.raises(ValueError, match="has no rows of offset 6 yet"):
        store.amend(1, A, 1, 7, frame([]))


def test_a_row_that_moves_to_another_key_and_place_is_there_once(store: Store) -> None:
    store.append(1, A, 0, 6, frame([row(A, 3, device_id="wrong", at=5)]))
    store.amend(1, A, 3, 4, frame([row(A, 3, device_id="right", at=9)]))
    assert set(store.digests(1, EVERYTHING)) == {"right"}
    assert store.counts(1, A, 0, 9) == {3: 1}


def test_what_the_view_has_not_reached_can_not_be_amended(store: Store) -> None:
    store.append(1, A, 0, 6, rows_of(A, 0, 5))
    for source, offset in ((A, 6), (B, 0)):
        with pytest.raises(ValueError, match=f"has no rows of offset {offset} yet"):
            store.amend(1, source, offset, offset + 1, frame([row(source, offset)]))
    with pytest.raises(ValueError, match="do not come from"):
        store.amend(1, A, 3, 4, frame([row(A, 4)]))
    with pytest.raises((Superseded, ValueError)):
        store.amend(77, A, 3, 4, frame([row(A, 3)]))
    assert store.counts(1, A, 0, 9) == dict.fromkeys(range(5), 2)
