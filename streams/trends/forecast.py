"""Level, trend and daily season of a metric, foretold to a horizon with bands, and when it will reach a threshold.

Two models run side by side: damped Holt-Winters without a season and with one (Hyndman and Athanasopoulos, Forecasting:
principles and practice, chapter 8). The error that is learned is clipped at some spreads, so single outliers move
little. What each model foretold 1, 2, 4, ... rows ahead is measured when the rows come: the model that was nearer
speaks for that distance, and its errors make the band. Standard library only; the state is bounded, and plain numbers.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite, sqrt

DAY = 86_400_000_000  # microseconds
BINS = 48
LADDER = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # steps ahead whose errors are measured
CLIP = 3.0  # spreads
BELIEVED = 6  # outliers in a row of one sign, after which they are a new level
Z95 = 1.959964
MOST_MAGNITUDE = 1e150
MEAN_TO_SPREAD = 1.2533  # of Gaussian errors
WARM_ROWS = 20
PROMISE_AFTER = 10
POINTS_TO_THRESHOLD = 500


@dataclass(slots=True)
class Model:
    """One way to foretell.

    A level, its trend per row, a daily season, and how far it was off at every distance of the ladder.
    """

    level: float = 0.0
    trend: float = 0.0
    spread: float = 0.0
    outliers: int = 0
    season: list[float] = field(default_factory=lambda: [0.0] * BINS)
    promised: list[list[float]] = field(default_factory=list)  # [ladder place, row due, foretold]
    squares: list[float] = field(default_factory=lambda: [0.0] * len(LADDER))
    measured: list[int] = field(default_factory=lambda: [0] * len(LADDER))


@dataclass(slots=True)
class Series:
    """What is known of one metric: its newest row (epoch microseconds), the usual gap between rows, and two models of it."""

    rows: int = 0
    at: int = 0
    step: float = 0.0
    quick: Model = field(default_factory=Model)
    seasonal: Model = field(default_factory=Model)

    def stored(self) -> dict[str, object]:
        """Plain numbers and lists, for msgpack or JSON."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, object]) -> "Series":
        """What `stored` gave.

        Raises:
            TypeError: it is not of that form.
        """
        rest = {name: value for name, value in stored.items() if name not in ("quick", "seasonal")}
        quick, seasonal = stored.get("quick"), stored.get("seasonal")
        if not isinstance(quick, dict) or not isinstance(seasonal, dict):
            raise TypeError("what is stored of a series has two models: quick and seasonal")
        return cls(quick=Model(**quick), seasonal=Model(**seasonal), **rest)  # type: ignore[arg-type]  # its own numbers


@dataclass(frozen=True, slots=True)
class Point:
    """A value foretold for a moment, with a band that should hold it 95 times of 100."""

    at: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reaching:
    """When a threshold is reached: microseconds from the newest row, with a band; None: not within the horizon."""

    expected: int | None
    earliest: int | None
    latest: int | None


@dataclass(frozen=True, slots=True)
class Rates:
    """The weight of a new row in level and trend; that of a visit to a half-hour of the day in its season."""

    level: float
    trend: float
    season: float


QUICK = Rates(level=0.2, trend=0.01, season=0.0)
SEASONAL = Rates(level=0.01, trend=0.002, season=0.6)
SPREAD_RATE = 0.02
TREND_HALVES = 30 * DAY  # half of a trend is believed to remain after this time


def learn(series: Series, at: int, value: float) -> bool:
    """Take in a row; False, with nothing changed, where it is not newer than the newest or not a value."""
    if not isfinite(value) or abs(value) > MOST_MAGNITUDE or (series.rows and at <= series.at):
        return False
    if not series.rows:
        series.quick.level = series.seasonal.level = value
    else:
        gap = at - series.at
        series.step += (min(gap, 5 * series.step or gap) - series.step) * max(1 / series.rows, 0.05)
    for model, rates in ((series.quick, QUICK), (series.seasonal, SEASONAL)):
        _settle(model, series.rows, value)
        _learn_error(model, series, (at, value), rates)
    series.at, series.rows = at, series.rows + 1
    for model in (series.quick, series.seasonal):
        for place, steps in enumerate(LADDER):
            if series.rows >= PROMISE_AFTER and series.rows % steps == 0:
                model.promised.append([place, series.rows + steps - 1, _ahead(model, series, steps)])
    return True


def _learn_error(model: Model, series: Series, row: tuple[int, float], rates: Rates) -> None:
    at, value = row
    slot, damping, rows = _bin(at), _damping(series), series.rows
    error = value - (model.level + damping * model.trend + model.season[slot])
    limit, young = CLIP * model.spread, rows < WARM_ROWS
    model.outliers = model.outliers + 1 if abs(error) > limit else 0
    kept = error if young or model.outliers >= BELIEVED else max(-limit, min(limit, error))
    weight = max(2 / (rows + 2), rates.level)
    bend = max(1 / (rows + 1), rates.trend) if rows else 0.0
    model.level += damping * model.trend + weight * kept
    model.trend = damping * model.trend + bend * weight * kept
    model.season[slot] += min(0.5, rates.season * series.step * BINS / DAY) * (1 - weight) * kept
    size = abs(error) if young else min(abs(error), 2 * limit + 1e-12 * abs(value))
    model.spread += max(1 / (rows + 1), SPREAD_RATE) * (MEAN_TO_SPREAD * size - model.spread)


def _settle(model: Model, rows: int, value: float) -> None:
    """Measure what was foretold for the row that has come."""
    for due in model.promised:
        if due[1] == rows:
            place, square = int(due[0]), (value - due[2]) ** 2
            if model.measured[place] >= 8:
                square = min(square, 16 * model.squares[place] + 1e-300)
            model.measured[place] += 1
            model.squares[place] += max(1 / model.measured[place], 0.03) * (square - model.squares[place])
    model.promised = [due for due in model.promised if due[1] > rows]


def _bin(at: int) -> int:
    return (at % DAY) * BINS // DAY


def _damping(series: Series) -> float:
    return float(0.5 ** (series.step / TREND_HALVES))


def _ahead(model: Model, series: Series, steps: float) -> float:
    """The value foretold that many rows after the newest; seasons of neighbouring half-hours are interpolated."""
    damping = _damping(series)
    drifted = steps if damping > 1 - 1e-12 else damping * (1 - damping**steps) / (1 - damping)
    at = series.at + round(steps * series.step) - DAY // BINS // 2
    share = (at % (DAY // BINS)) / (DAY // BINS)
    season = (1 - share) * model.season[_bin(at)] + share * model.season[_bin(at + DAY // BINS)]
    return model.level + model.trend * drifted + season


def _spread_ahead(model: Model, steps: float) -> float:
    """The spread of errors that far ahead: between measured distances by interpolation, beyond them as in a walk."""
    known = [(LADDER[place], sqrt(model.squares[place])) for place in range(len(LADDER)) if model.measured[place] >= 3]
    if not known:
        return model.spread * max(steps, 1.0)
    before = known[0]
    for distance, spread in known:
        if distance >= steps:
            share = (steps - before[0]) / (distance - before[0]) if distance > before[0] else 1.0
            return max(before[1] + share * (spread - before[1]), known[0][1])
        before = distance, spread
    return before[1] * sqrt(steps / before[0])


def _nearer(series: Series, steps: float) -> Model:
    """The model that has been nearer at the greatest distance measured that is not beyond `steps`."""
    for place in reversed(range(len(LADDER))):
        measured = min(series.quick.measured[place], series.seasonal.measured[place])
        if measured >= 3 and (LADDER[place] <= steps or not place):
            return series.seasonal if series.seasonal.squares[place] < series.quick.squares[place] else series.quick
    return series.quick


def forecast(series: Series, horizon: int, points: int = 48) -> list[Point]:
    """The next `horizon` microseconds at evenly spaced moments, oldest first. Nothing where fewer than 20 rows were seen.

    Raises:
        ValueError: no horizon, or no points.
    """
    if horizon <= 0 or points <= 0:
        raise ValueError(f"a forecast has a horizon and points, not {horizon} microseconds and {points} points")
    if series.rows < WARM_ROWS:
        return []
    made = []
    for number in range(1, points + 1):
        ahead = horizon * number // points
        steps = ahead / series.step
        model = _nearer(series, steps)
        value, band = _ahead(model, series, steps), Z95 * _spread_ahead(model, steps)
        made.append(Point(series.at + ahead, value, value - band, value + band))
    return made


def time_to(series: Series, threshold: float, horizon: int) -> Reaching:
    """When the metric will come to `threshold` from the side on which it is now, and when the edges of its band do."""
    points = forecast(series, horizon, POINTS_TO_THRESHOLD)
    sign = 1.0 if threshold >= series.quick.level else -1.0
    lines = (
        [point.value for point in points],
        [point.high if sign > 0 else point.low for point in points],
        [point.low if sign > 0 else point.high for point in points],
    )
    times = [point.at - series.at for point in points]
    return Reaching(*(_crossing(times, [sign * (value - threshold) for value in line]) for line in lines))


def _crossing(times: list[int], over: list[float]) -> int | None:
    """The first time at which `over` is not negative, between two points by interpolation."""
    before: tuple[int, float] | None = None
    for time, value in zip(times, over, strict=True):
        if value >= 0:
            if before is None:
                return time
            return before[0] + round((time - before[0]) * -before[1] / (value - before[1]))
        before = time, value
    return None
