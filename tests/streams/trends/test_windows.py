"""Windows against a recomputation by polars; late, doubled, absurd and misdated readings."""

import json
from itertools import pairwise
from math import inf, isclose, nan

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.trends.partial import SECOND, Partial
from streams.trends.windows import (
    HOUR,
    HOUR_ROW,
    LENGTHS,
    MINUTE,
    MINUTE_ROW,
    OLDEST,
    SLIDING_ROW,
    STEP,
    DeviceWindows,
    Row,
    Sample,
    windows_of,
)

DAY = 1_700_006_400_000_000  # a midnight
VALUES = st.one_of(
    st.integers(-1000, 1000).map(float),
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.floats(0, 1e-3, allow_subnormal=False).map(lambda noise: 1e9 + noise),
)


def sample(at: int, value: float = 1.0, identity: str = "", metric: str = "t", received_at: int | None = None) -> Sample:
    return Sample(metric, at, at if received_at is None else received_at, value, identity or str(at))


def newest(rows: list[Row]) -> dict[tuple[str, int], Row]:
    """The row of each window that counts; revisions must only grow."""
    found: dict[tuple[str, int], Row] = {}
    for row in rows:
        key = row.window, row.start
        assert row.revision == (found[key].revision + 1 if key in found else 0)
        found[key] = row
    return found


def recomputed(samples: list[Sample], window: str) -> dict[int, dict[str, float | None]]:
    """The same statistics by polars, around a local origin so that its doubles keep their precision."""
    starts = [(start, item) for item in samples for kind, start in windows_of(item.at - item.at % MINUTE) if kind == window]
    if not starts:
        return {}
    frame = pl.DataFrame(
        {
            "start": [start for start, _ in starts],
            "at": [item.at for _, item in starts],
            "x": [item.value for _, item in starts],
        }
    ).sort("at", "x")
    frame = frame.with_columns(((pl.col("at") - pl.col("start")) / SECOND).alias("t"))
    t, x = pl.col("t"), pl.col("x")
    dt, dx = t - t.mean(), x - x.mean()
    rows = frame.group_by("start", maintain_order=True).agg(
        pl.len().alias("count"),
        x.min().alias("low"),
        x.max().alias("high"),
        x.mean().alias("mean"),
        x.std().alias("stddev"),
        x.first().alias("first"),
        x.last().alias("last"),
        ((dt * dx).sum() / (dt * dt).sum()).alias("slope"),
    )
    return {row["start"]: row for row in rows.to_dicts()}


def assert_same(row: Row, other: dict[str, float | None], spread: float) -> None:
    for name in ("count", "low", "high", "first", "last"):
        assert getattr(row, name) == other[name]
    size = max(abs(row.low), abs(row.high), 1e-100)  # polars squares: less would underflow
    assert isclose(row.mean, other["mean"], rel_tol=1e-9, abs_tol=1e-12 * size)
    assert (row.stddev is None) == (other["stddev"] is None)
    if row.stddev is not None and row.stddev > 1e-6 * size:
        assert isclose(row.stddev, other["stddev"], rel_tol=1e-9)
    if row.slope is not None and row.stddev is not None and row.stddev > 1e-6 * size:
        assert isclose(row.slope, other["slope"], rel_tol=1e-9, abs_tol=1e-9 * spread)


@st.composite
def batches(draw: st.DrawFn) -> list[list[Sample]]:
    """Readings of some hours, with copies, in any order, cut anywhere; none is later than a day."""
    points = draw(st.lists(st.tuples(st.integers(0, 150 * 60), VALUES), min_size=1, max_size=40))
    samples = [sample(DAY + second * SECOND, value, f"boot/{number}") for number, (second, value) in enumerate(points)]
    mixed = draw(st.permutations(samples + draw(st.lists(st.sampled_from(samples), max_size=10))))
    cuts = sorted(draw(st.sets(st.integers(1, len(mixed)), max_size=5)) | {0, len(mixed)})
    return [mixed[a:b] for a, b in pairwise(cuts)]


@settings(max_examples=60, deadline=None)
@given(batches())
def test_windows_equal_a_recomputation_whatever_the_order_batches_and_copies(given_batches: list[list[Sample]]) -> None:
    windows = DeviceWindows("d", lateness=24 * HOUR)
    rows = [row for batch in given_batches for row in windows.add(batch)] + windows.close(DAY + 10 * HOUR)
    once = list({item.identity: item for batch in given_batches for item in batch}.values())
    found = newest(rows)
    for window in LENGTHS:
        expected = recomputed(once, window)
        assert {start for kind, start in found if kind == window} == set(expected)
        for start, other in expected.items():
            row = found[window, start]
            assert_same(row, other, row.high - row.low)
    assert windows.counts["duplicate"] == sum(map(len, given_batches)) - len(once)


@settings(max_examples=60, deadline=None)
@given(batches())
def test_rows_are_the_same_to_the_last_bit_for_one_batch_in_order(given_batches: list[list[Sample]]) -> None:
    mixed, ordered = DeviceWindows("d", lateness=24 * HOUR), DeviceWindows("d", lateness=24 * HOUR)
    rows = [row for batch in given_batches for row in mixed.add(batch)] + mixed.close(DAY + 10 * HOUR)
    whole = sorted((item for batch in given_batches for item in batch), key=lambda item: item.at)
    straight = ordered.add(whole) + ordered.close(DAY + 10 * HOUR)

    def told(rows: list[Row]) -> dict[tuple[str, int], tuple[object, ...]]:
        return {
            key: (row.count, row.mean, row.stddev, row.slope, row.r2, row.first, row.last)
            for key, row in newest(rows).items()
        }

    assert told(rows) == told(straight)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(-1e150, 1e150)), min_size=1, max_size=20), st.integers(0, 20))
def test_parts_merge_to_the_whole_and_survive_storing(points: list[tuple[int, float]], cut: int) -> None:
    whole, left, right = Partial(0), Partial(-5), Partial(77)
    for number, (at, value) in enumerate(points):
        whole.add(at, value)
        (left if number < cut else right).add(at, value)
    together = Partial(0)
    for part in (right, left):
        together.merge(Partial.unpacked(json.loads(json.dumps(part.packed()))))
    for name in ("count", "low", "high", "first", "last", "mean", "stddev", "slope", "r2"):
        assert getattr(together, name) == getattr(whole, name)


def test_integers_are_exact_where_doubles_cancel() -> None:
    part = Partial(0)
    for second, value in enumerate((1e15 + 1, 1e15 + 2, 1e15 + 3)):
        part.add(second * SECOND, value)
    assert (part.mean, part.stddev, part.slope, part.r2) == (1e15 + 2, 1.0, 1.0, 1.0)


def test_stored_sums_of_another_form_are_refused() -> None:
    with pytest.raises(ValueError, match="12 parts, these have 2"):
        Partial.unpacked((0, 1))


def test_a_late_reading_restates_its_rows_and_a_later_one_is_counted() -> None:
    windows = DeviceWindows("d", lateness=10 * MINUTE)
    first = windows.add([sample(DAY), sample(DAY + MINUTE)])
    assert [(row.window, row.count, row.revision) for row in first if row.start == DAY] == [(MINUTE_ROW, 1, 0)]
    again = windows.add([sample(DAY + 1, 5.0, received_at=DAY + 2 * MINUTE)])
    assert [(row.window, row.count, row.revision, row.known_at) for row in again] == [(MINUTE_ROW, 2, 1, DAY + 2 * MINUTE)]
    windows.add([sample(DAY + 11 * MINUTE)])
    assert windows.add([sample(DAY + 2)]) == []
    assert windows.counts == {"taken": 3, "late": 1, "too-late": 1}


def test_a_late_minute_restates_the_hours_that_hold_it() -> None:
    windows = DeviceWindows("d", lateness=2 * HOUR)
    windows.add([sample(DAY + minute * MINUTE) for minute in range(121)])
    rows = windows.add([sample(DAY + 59 * MINUTE + 1)])
    assert sum(row.window == SLIDING_ROW for row in rows) == 12
    assert [row.start for row in rows if row.window == HOUR_ROW] == [DAY]
    assert {row.revision for row in rows} == {1}
    assert {row.count for row in rows if row.window != MINUTE_ROW} == {61}
    assert all(row.start % STEP == 0 for row in rows if row.window == SLIDING_ROW)


def test_what_is_too_late_does_not_depend_on_batches() -> None:
    samples = [sample(DAY + HOUR), sample(DAY), sample(DAY + 55 * MINUTE)]
    whole, single = DeviceWindows("d"), DeviceWindows("d")
    whole.add(samples)
    for item in samples:
        single.add([item])
    assert whole.counts == single.counts == {"taken": 1, "too-late": 1, "late": 1}


def test_a_fast_clock_harms_neither_others_nor_itself() -> None:
    fast, sane = DeviceWindows("fast"), DeviceWindows("sane")
    fast.add([sample(DAY + 1000 * HOUR, received_at=DAY)])
    assert fast.watermark == DAY
    assert sane.add([sample(DAY), sample(DAY + MINUTE)])
    fast.add([sample(DAY + MINUTE)])
    assert fast.counts == {"taken": 2}


def test_bad_readings_are_counted_and_change_nothing() -> None:
    windows = DeviceWindows("d")
    bad = [nan, inf, -inf, 1e200]
    assert windows.add([sample(DAY + number, value) for number, value in enumerate(bad)]) == []
    assert windows.add([sample(DAY, received_at=DAY + OLDEST + 1)]) == []
    assert windows.counts == {"not-a-number": 3, "absurd-value": 1, "absurd-time": 1}
    assert windows.watermark == 0


def test_state_is_bounded() -> None:
    windows = DeviceWindows("d")
    for minute in range(600):
        windows.add([sample(DAY + minute * MINUTE, metric="t" if minute < 300 else "u")])
    assert list(windows._metrics) == ["u"]
    assert len(windows._metrics["u"].minutes) <= 72
    assert len(windows._metrics["u"].seen) <= 12


def test_a_negative_lateness_is_refused() -> None:
    with pytest.raises(ValueError, match="lateness can't be negative"):
        DeviceWindows("d", lateness=-1)
