"""Moments as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.moments import BadMoment, moment_of, text

NOW = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z


@given(st.integers(0, NOW))
def test_a_moment_that_was_told_is_read_again(moment: int) -> None:
    assert moment_of(text(moment), NOW) == moment


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("now", NOW),
        ("-2h", NOW - 7_200_000_000),
        ("-0.5s", NOW - 500_000),
        ("-1w", NOW - 604_800_000_000),
        ("1970-01-02", 86_400_000_000),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01t00:00:00.000001z", 1),
        ("1970-01-01 00:01Z", 60_000_000),
    ],
)
def test_forms(given: str, expected: int) -> None:
    assert moment_of(given, NOW) == expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "is no time"),
        ("yesterday", "'yesterday' is no time: RFC 3339"),
        ("-2", "is no time"),
        ("+2h", "is no time"),
        ("2026-01-01T00:00:00", "has no zone: Z for UTC"),
        ("2026-13-01", "is no time of the calendar: month must be in 1..12"),
        ("2026-01-01T25:00:00Z", "is no time of the calendar"),
        ("2100-01-01", r"2100-01-01 is in the future: it is 2026-09-21T14:13:20Z"),
        ("20260101", "is no time"),
    ],
)
def test_what_is_no_time_says_why(given: str, why: str) -> None:
    with pytest.raises(BadMoment, match=why):
        moment_of(given, NOW)


def test_a_moment_that_no_calendar_has_is_told_as_a_number() -> None:
    assert text(2**62) == f"{2**62} µs"
