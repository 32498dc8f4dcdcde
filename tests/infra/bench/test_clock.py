"""The clock that watches rows arrive."""

import itertools

import pytest

from infra.bench.clock import RowClock, between


def test_a_rate_is_that_between_the_first_rows_and_most_of_them() -> None:
    seen = [(10.0, 100), (11.0, 300), (12.0, 850), (19.0, 1_000)]
    assert between(seen, 1_000) == (850 - 100) / 2.0


def test_rows_that_come_at_once_have_no_rate() -> None:
    with pytest.raises(RuntimeError, match="came at once"):
        between([(10.0, 900), (11.0, 1_000)], 1_000)


def test_it_looks_until_all_rows_are_there() -> None:
    counts = itertools.chain([0, 0, 10, 60, 90], itertools.repeat(100))
    with RowClock(lambda: next(counts), 100, limit=30.0) as clock:
        assert clock.rate() > 0
    assert next(counts) == 100


def test_rows_that_stay_away_are_an_error() -> None:
    with RowClock(lambda: 40, 100, limit=0.3) as clock, pytest.raises(RuntimeError, match="40 of 100 rows"):
        clock.rate()


def test_more_rows_than_there_may_be_are_an_error() -> None:
    counts = itertools.chain([10, 50], itertools.repeat(101))
    with RowClock(lambda: next(counts), 100, limit=30.0) as clock, pytest.raises(RuntimeError, match="101 of 100 rows"):
        clock.rate()
