"""Windows hold what a plain reading of their definition says, however rows fall into frames, and late rows change what is to
come but nothing that was said."""

import math
import struct
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.contract import load
from schemas.rules.document import Rule
from streams.rules.carried import Windows
from streams.rules.compiled import CompiledRule, compile_rule
from streams.rules.evaluation import RuleSet
from streams.rules.ports import AT, KEY, RECEIVED
from streams.rules.windows import MOST_READINGS

CONTRACT = load()
SPAN = 10_000_000
FUNCTIONS = ("last", "avg", "min", "max", "sum", "delta", "rate")


class Reading(NamedTuple):
    device: str
    at: int
    value: float | None


def compiled(when: str, **more: Any) -> CompiledRule:
    return compile_rule(Rule(id="r", input="telemetry", when=when, **more), CONTRACT)


RULES = [
    *(compiled(f'{name}(t, "10s") > 0 && t != null') for name in FUNCTIONS),
    compiled('count(t > 1, "10s") > 0'),
    compiled('count(t, "3s") > 0'),
    compiled('avg(t * 2, "10s") > max(t, "7s")'),
]
READINGS = st.lists(
    st.builds(
        Reading,
        st.sampled_from("abc"),
        st.integers(0, 40).map(lambda second: second * 1_000_000),
        st.none() | st.floats(-1e9, 1e9) | st.sampled_from([0.1, 0.2, 1e300, -1e300]),
    ),
    min_size=1,
    max_size=40,
)


def frame(readings: list[Reading]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            KEY: [reading.device for reading in readings],
            AT: [reading.at for reading in readings],
            RECEIVED: [reading.at for reading in readings],
            "metric:t": [reading.value for reading in readings],
        },
        schema={KEY: pl.String, AT: pl.Int64, RECEIVED: pl.Int64, "metric:t": pl.Float64},
    )


def bits(series: pl.Series) -> list[Any]:
    """Values that are equal only if their bytes are."""
    return [struct.pack("<d", value) if isinstance(value, float) else value for value in series.to_list()]


def said(readings: list[Reading], sizes: list[int], through_bytes: bool = False) -> list[list[Any]]:
    """What each rule says of each row, when the rows come in frames of these sizes."""
    rules, found, begin = RuleSet(RULES), [[[], [], [], []] for _ in RULES], 0
    for size in [*sizes, len(readings)]:
        if through_bytes:
            rules = RuleSet(RULES, Windows.decoded(rules.windows.encoded()))
        for place, one in enumerate(rules.evaluate(frame(readings[begin : begin + size]))):
            for column, series in zip(found[place], (one.raised, one.cleared, one.value, one.late), strict=True):
                column += bits(series)
        begin += size
    return found


@settings(max_examples=150, deadline=None)
@given(READINGS, st.lists(st.integers(1, 8), max_size=12), st.booleans())
def test_frames_make_no_difference(readings: list[Reading], sizes: list[int], through_bytes: bool) -> None:
    assert said(readings, sizes, through_bytes) == said(readings, [])


def expected(name: str, readings: list[Reading], row: int) -> float | None:
    """The value of a function at a row, by its definition."""
    of = readings[row]
    known = [each for each in readings[: row + 1] if each.device == of.device and each.value is not None]
    inside = sorted((each for each in known if of.at - SPAN < each.at <= of.at), key=lambda each: each.at)
    values = [each.value for each in inside if each.value is not None]
    if not values:
        return None
    if name in ("delta", "rate"):
        seconds = (inside[-1].at - inside[0].at) / 1e6
        if len(values) < 2 or (name == "rate" and seconds == 0):
            return None
        return (values[-1] - values[0]) / (1 if name == "delta" else seconds)
    total = float(np.add.reduceat(np.array([*values, 0.0]), [0, len(values)])[0])
    return {"last": values[-1], "avg": total / len(values), "min": min(values), "max": max(values), "sum": total}[name]


@settings(max_examples=150, deadline=None)
@given(READINGS)
def test_functions_are_what_they_are_defined_as(readings: list[Reading]) -> None:
    found = RuleSet(RULES).evaluate(frame(readings))
    for name, one in zip(FUNCTIONS, found, strict=False):
        for row, (late, value) in enumerate(zip(one.late, one.value, strict=True)):
            if not late and readings[row].value is not None:
                wanted = expected(name, readings, row)
                assert value == wanted or (wanted is not None and math.isclose(value, wanted, rel_tol=1e-12)), (name, row)


def test_a_late_row_says_nothing_but_counts_in_what_follows() -> None:
    rules = RuleSet([compiled('sum(t, "10s") > 100')])
    rows = [Reading("a", 10_000_000, 60.0), Reading("a", 5_000_000, 60.0), Reading("a", 12_000_000, 1.0)]
    (found,) = rules.evaluate(frame(rows))
    assert found.raised.to_list() == [False, None, True]
    assert found.late.to_list() == [False, True, False]
    assert found.value.to_list()[2] == 121.0


def test_devices_that_are_years_apart_share_a_frame() -> None:
    rows = [Reading(f"d{number % 700}", (number % 2) * 7_258_118_399_999_999 // 2, float(number)) for number in range(2_800)]
    (found,) = RuleSet([compiled('count(t, "10s") == 2')]).evaluate(frame(rows))
    assert found.raised.to_list() == [700 <= number < 1_400 for number in range(2_800)]


def test_a_window_holds_the_newest_readings_only_and_what_is_carried_is_bounded() -> None:
    rules = RuleSet([compiled('count(t, "1d") > 0')])
    for begin in range(0, 2 * MOST_READINGS, MOST_READINGS // 2):
        rows = [Reading("a", second * 1_000, 1.0) for second in range(begin, begin + MOST_READINGS // 2)]
        (found,) = rules.evaluate(frame(rows))
    assert found.value.to_list()[-1] == MOST_READINGS
    assert len(rules.windows.encoded()) < 20 * MOST_READINGS


def test_what_is_over_is_let_go() -> None:
    rules = RuleSet([compiled('sum(t, "10s") > 0')])
    for second in range(0, 1_000, 5):
        rules.evaluate(frame([Reading("a", second * 1_000_000, 1.0)]))
    assert len(rules.windows.encoded()) < 200


def test_a_row_without_the_rule_s_metrics_says_nothing_and_makes_nothing_late() -> None:
    rules = RuleSet([compiled("t > 1")])
    rows = [Reading("a", 10, 2.0), Reading("a", 20, None), Reading("a", 15, 2.0)]
    (found,) = rules.evaluate(frame(rows))
    assert found.raised.to_list() == [True, None, True]
    assert found.late.to_list() == [False, False, False]


@pytest.mark.parametrize("gap", [0, 20_000_000])
def test_rules_that_began_at_another_time_share_no_readings(gap: int) -> None:
    one = compile_rule(Rule(id="r", input="telemetry", when='count(t, "10s") > 1'), CONTRACT, since="1")
    other = compile_rule(Rule(id="r", input="telemetry", when='count(t, "10s") > 1'), CONTRACT, since="2")
    rules = RuleSet([one])
    rules.evaluate(frame([Reading("a", 0, 1.0)]))
    both = RuleSet([one, other], rules.windows).evaluate(frame([Reading("a", gap, 1.0)]))
    assert [each.raised.item() for each in both] == [gap == 0, False]
