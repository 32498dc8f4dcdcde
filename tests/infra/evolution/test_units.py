"""Numbers in another unit are told from numbers that changed."""

import random
from collections.abc import Callable

import pytest

from infra.evolution.units import FACTORS, Point, shift

COUNT = 200


def drawn(of: Callable[[random.Random], float], seed: int, count: int = COUNT) -> list[Point]:
    draw = random.Random(seed)
    return [Point(str(i % 20).encode(), i * 1_000_000, of(draw)) for i in range(count)]


def log_normal(draw: random.Random) -> float:
    return draw.lognormvariate(2, 0.5)


def celsius(draw: random.Random) -> float:
    return draw.gauss(18, 4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", FACTORS)
def test_factors(factor: float, seed: int) -> None:
    old = drawn(log_normal, seed)
    for times, size in ((factor, "larger"), (1 / factor, "smaller")):
        found = shift(old, [point._replace(number=point.number * times) for point in drawn(log_normal, seed + 100)])
        assert found is not None
        assert size in found.what


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("convert", "what"),
    [
        (lambda c: c * 1.8 + 32, "Fahrenheit, was Celsius"),
        (lambda c: (c - 32) / 1.8, "Celsius, was Fahrenheit"),
        (lambda c: c + 273.15, "Kelvin, was Celsius"),
        (lambda c: c - 273.15, "Celsius, was Kelvin"),
    ],
)
def test_temperatures(convert: Callable[[float], float], what: str, seed: int) -> None:
    found = shift(drawn(celsius, seed), [point._replace(number=convert(point.number)) for point in drawn(celsius, seed + 9)])
    assert found is not None
    assert what in str(found)


OTHERS: dict[str, tuple[Callable[[random.Random], float], Callable[[random.Random], float]]] = {
    "the same": (log_normal, log_normal),
    "twice as much": (log_normal, lambda draw: 2 * log_normal(draw)),
    "warmer": (celsius, lambda draw: celsius(draw) + 10),
    "another form": (lambda draw: draw.uniform(1, 2), lambda draw: draw.lognormvariate(5, 2)),
    "mostly zero": (lambda draw: 0.0, lambda draw: float(draw.random() < 0.05)),
    "was zero": (lambda draw: 0.0, log_normal),
    "on both sides of zero": (lambda draw: draw.gauss(0, 1), lambda draw: draw.gauss(0, 1)),
}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", OTHERS)
def test_other_changes_are_none_of_units(name: str, seed: int) -> None:
    one, other = OTHERS[name]
    assert shift(drawn(one, seed), drawn(other, seed + 1_000)) is None


def test_too_few_numbers_say_nothing() -> None:
    old = drawn(log_normal, 1, 29)
    assert shift(old, [point._replace(number=point.number * 1000) for point in old]) is None


def test_a_counter_that_counts_on_is_no_change() -> None:
    """Of 20 devices that count one a second, hours later."""
    points = [Point(str(i % 20).encode(), i // 20 * 1_000_000, float(i // 20)) for i in range(400)]
    later = [Point(point.key, (point.at or 0) + 10**10, point.number + 60 * 20) for point in points]
    assert shift(points, later) is None


def test_times_in_another_unit() -> None:
    micros = [Point(b"k", i, 1.7e15 + i) for i in range(50)]
    millis = [point._replace(number=point.number / 1_000) for point in micros]
    assert shift(micros, micros, is_time=True) is None
    assert "1,000 times smaller" in str(shift(micros, millis, is_time=True))
