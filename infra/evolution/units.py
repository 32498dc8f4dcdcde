"""Whether a number means something else under a newer schema id: its distribution is the older one's, times a factor that
units have between them.

A suspicion with evidence, no proof. What is not found: a change between other units than those of FACTORS; a change in
fields that hold too few numbers, or mostly zero; a change of a field that grows from record to record (a counter, an
uptime), unless it is by a power of 1,000, as its speed is compared instead.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

FACTORS: Mapping[float, str] = {
    60.0: "seconds and minutes, or minutes and hours",
    100.0: "a share and percent",
    1_000.0: "a unit and thousandths of it",
    1_024.0: "bytes and KiB, or KiB and MiB",
    3_600.0: "seconds and hours",
    86_400.0: "seconds and days",
    1e6: "a unit and millionths of it",
    1_048_576.0: "bytes and MiB",
    1e9: "a unit and billionths of it",
    1_073_741_824.0: "bytes and GiB",
}
POWERS = (1e3, 1e6, 1e9)
LEAST = 30  # numbers other than zero on each side
QUANTILES = (10, 25, 50, 75, 90)
CLOSEST, CLOSE = math.log(1.1), math.log(1.35)  # how far off the factor the medians' ratio may be: see _tolerance
EVEN = math.log(1.5)  # of each quantile's ratio to the median ratio
GROWING = 0.95  # share of a key's consecutive values that rise
TEMPERATURES = (
    ("Fahrenheit, was Celsius", 1.8, 32.0),
    ("Celsius, was Fahrenheit", 1 / 1.8, -32 / 1.8),
    ("Kelvin, was Celsius", 1.0, 273.15),
    ("Celsius, was Kelvin", 1.0, -273.15),
)


class Point(NamedTuple):
    """A number in the log: of which key, received when (microseconds, None if unknown)."""

    key: bytes | None
    at: int | None
    number: float


@dataclass(frozen=True, slots=True)
class Shift:
    older: float
    newer: float
    what: str

    def __str__(self) -> str:
        return f"{self.what} (medians {self.older:g} and {self.newer:g})"


def shift(older: Sequence[Point], newer: Sequence[Point], is_time: bool = False) -> Shift | None:
    """What the newer numbers are of the older ones, if that is a change of units; points are in the order of the log."""
    if not is_time and _grows(older) and _grows(newer):
        return _of_factor(_speeds(older), _speeds(newer), POWERS, "its growth in time")
    old, new = ([point.number for point in points if point.number] for points in (older, newer))
    return _of_factor(old, new, POWERS if is_time else FACTORS, "it") or (None if is_time else _of_temperature(old, new))


def _of_factor(old: list[float], new: list[float], factors: Iterable[float], what: str) -> Shift | None:
    if min(len(old), len(new)) < LEAST:
        return None
    pairs = list(zip(_quantiles(old), _quantiles(new), strict=True))
    if min(map(min, pairs)) * max(map(max, pairs)) <= 0:
        return None  # not all on one side of zero
    ratios = [math.log(other / one) for one, other in pairs]
    middle = statistics.median(ratios)
    if max(abs(ratio - middle) for ratio in ratios) > EVEN:
        return None
    tolerance = _tolerance(old, new)
    for factor in factors:
        for sign, size in ((1, "larger"), (-1, "smaller")):
            if abs(middle - sign * math.log(factor)) <= tolerance:
                said = f"{what} is {math.exp(abs(middle)):,.4g} times {size} than before, as between {FACTORS[factor]}"
                return Shift(statistics.median(old), statistics.median(new), said)
    return None


def _tolerance(old: list[float], new: list[float]) -> float:
    """Three standard errors of the medians' ratio (as a logarithm), were both sides log-normal; within limits."""
    low, high = _quantiles(old)[1], _quantiles(old)[3]
    deviation = math.log(high / low) / 1.35  # the quartiles of a normal distribution are 1.35 deviations apart
    error = 1.25 * abs(deviation) * math.sqrt(1 / len(old) + 1 / len(new))
    return min(CLOSE, max(CLOSEST, 3 * error))


def _of_temperature(old: list[float], new: list[float]) -> Shift | None:
    """Celsius and Fahrenheit, Celsius and Kelvin, either way: the same distribution moved, and stretched."""
    if min(len(old), len(new)) < LEAST:
        return None
    one, other = _quantiles(old), _quantiles(new)
    width = one[3] - one[1]
    if width <= 0 or other[3] - other[1] <= 0:
        return None
    for what, slope, offset in TEMPERATURES:
        expected = [slope * value + offset for value in one]
        moved = abs(expected[2] - one[2]) > 2 * width
        if moved and all(abs(a - b) <= 0.35 * slope * width for a, b in zip(expected, other, strict=True)):
            return Shift(statistics.median(old), statistics.median(new), f"it looks like {what}")
    return None


def _quantiles(numbers: list[float]) -> list[float]:
    cuts = statistics.quantiles(numbers, n=100, method="inclusive")
    return [cuts[at - 1] for at in QUANTILES]


def _steps(points: Sequence[Point]) -> Iterator[tuple[Point, Point]]:
    """Neighbouring points of the same key."""
    last: dict[bytes | None, Point] = {}
    for point in points:
        if point.key in last:
            yield last[point.key], point
        last[point.key] = point


def _grows(points: Sequence[Point]) -> bool:
    steps = [after.number > before.number for before, after in _steps(points) if after.number != before.number]
    return len(steps) >= LEAST / 2 and sum(steps) >= GROWING * len(steps)


def _speeds(points: Sequence[Point]) -> list[float]:
    return [
        (after.number - before.number) / (after.at - before.at)
        for before, after in _steps(points)
        if after.at is not None and before.at is not None and after.at > before.at and after.number > before.number
    ]
