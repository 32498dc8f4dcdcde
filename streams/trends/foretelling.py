"""Ways to foretell the next value of a series, and how they learn. Numpy only; series of a batch do not mix.

The ways are: the last value with its drift (counters, slow walks), a fast level, a slow level, the time of day and the
time of the week (bins, interpolated, with an offset of their own). Which of them is good is learned from their errors.
What is learned is clipped, so that a single value, however large, moves nothing far; several outliers in a row are a
new level and are let in.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.trends.settings import Settings
from streams.trends.state import DAY_BINS, WEEK_BINS, Columns, Floats, Ints

DAY = 86_400_000_000  # microseconds
MANY = 4  # outliers in a row after which a new level is believed
HOPELESS = 30  # outliers, or near-perfect rows, in a row after which scale and season are learned anew
SPREAD = 1.25  # standard deviations of a Gaussian in its mean absolute deviation


@dataclass(frozen=True, slots=True)
class Bins:
    """Two neighbouring bins a series and how much of the second is meant."""

    first: Ints
    second: Ints
    share: Floats

    def read(self, bins: Floats) -> Floats:
        rows = np.arange(len(bins))
        result: Floats = (1 - self.share) * bins[rows, self.first] + self.share * bins[rows, self.second]
        return result

    def learn(self, bins: Floats, value: Floats, error: Floats, rate: float) -> None:
        """Move both bins by the (clipped) error, each by its share; one never seen takes the value itself."""
        rows = np.arange(len(bins))
        for place, share in ((self.first, 1 - self.share), (self.second, self.share)):
            old = bins[rows, place]
            step = np.where(np.isnan(error), value - old, error)
            bins[rows, place] = np.where(np.isnan(old), value, old + rate * share * step)


def bins_of(at: Ints, period: int, count: int) -> Bins:
    """Where in a period (microseconds, of `count` bins) the moments are. Weeks are counted from the epoch."""
    place = (at % period) * (count / period)
    whole = np.floor(place).astype(np.int64)
    return Bins(whole % count, (whole + 1) % count, place - whole)


@dataclass(frozen=True, slots=True)
class Foretold:
    """Per series.

    What each way foretold and its error, the scale of errors (inf: it can't tell), and what follows for the row.
    """

    day: Bins
    week: Bins
    change: Floats  # from the row before
    floor: Floats  # the least error that is believed, from the resolution of the values
    predicted: Floats  # (series, way)
    errors: Floats  # (series, way), signed
    scales: Floats  # (series, way)
    expected: Floats  # by the best way
    spread: Floats  # standard deviation of the best way's errors
    away: Floats  # least |error| in spreads over the good ways


def foretell(state: Columns, at: Ints, value: Floats, settings: Settings) -> Foretold:
    """What was foretold for the rows that have now come.

    Series that were never seen are given their value as level first.
    """
    new = state["rows"] == 0
    for name in ("previous", "fast", "slow"):
        state[name] = np.where(new, value, state[name])
    day, week = bins_of(at, DAY, DAY_BINS), bins_of(at, 7 * DAY, WEEK_BINS)
    ways = (
        state["previous"] + state["drift"],
        state["fast"],
        state["slow"],
        day.read(state["day"]) + state["day_offset"],
        week.read(state["week"]) + state["week_offset"],
    )
    predicted = np.stack(ways, axis=1)
    errors = value[:, None] - predicted
    floor = np.maximum(0.3 * state["smallest_change"], 1e-6 * np.abs(state["slow"]) + 1e-9)
    scales = np.where(np.isnan(errors), np.inf, state["errors"] + floor[:, None])
    best = scales.min(axis=1)
    good = scales <= settings.good_enough * best[:, None]
    away = np.where(good, np.abs(errors), np.inf).min(axis=1) / (SPREAD * best)
    expected = predicted[np.arange(len(value)), scales.argmin(axis=1)]
    change, away = value - state["previous"], np.minimum(away, 1e3)
    return Foretold(day, week, change, floor, predicted, errors, scales, expected, SPREAD * best, away)


def learn(state: Columns, value: Floats, told: Foretold, settings: Settings) -> None:
    """Take the rows in: levels, drift, seasons and the size of errors."""
    rows, young = state["rows"], (state["rows"] < 10)[:, None]
    outliers = np.where(told.away > settings.outlier, state["outliers"] + 1, 0)
    calm = np.where(told.change == 0, state["calm"], np.where(told.away < 0.02, state["calm"] + 1, 0))
    limits = settings.outlier * SPREAD * np.where(np.isinf(told.scales), np.inf, told.scales)
    open_limits = np.where(young | (outliers >= MANY)[:, None], np.inf, limits)
    errors = np.clip(told.errors, -open_limits, open_limits)
    _learn_levels(state, told, errors, settings)
    told.day.learn(state["day"], value, errors[:, 3], settings.day_rate)
    told.week.learn(state["week"], value, errors[:, 4], settings.week_rate)
    for place, name in ((3, "day_offset"), (4, "week_offset")):
        state[name] += settings.offset_rate * np.nan_to_num(errors[:, place], posinf=0.0, neginf=0.0)
    sizes = np.minimum(np.abs(errors), np.where(young, np.inf, limits))
    known = ~np.isnan(told.errors)
    first_told = known & (state["errors"] == 0) & (np.arange(told.errors.shape[1]) >= 3)
    rate = np.maximum(1 / (rows + 1), settings.error_rate)[:, None]
    moved = state["errors"] + rate * (np.where(known, sizes, 0.0) - state["errors"])
    state["errors"] = np.where(first_told, sizes, np.where(known, moved, state["errors"]))
    change = np.abs(told.change)
    least = np.where(state["smallest_change"] == 0, change, np.minimum(change, state["smallest_change"] * 1.01))
    state["smallest_change"] = np.where(change > 0, least, state["smallest_change"])
    state["previous"], state["outliers"], state["calm"] = value, outliers, calm


def _learn_levels(state: Columns, told: Foretold, errors: Floats, settings: Settings) -> None:
    early = 1 / (state["rows"] + 1)
    limit = np.where(state["rows"] < 10, np.inf, settings.outlier * SPREAD * told.scales[:, 0])
    limit = np.where(state["outliers"] >= MANY - 1, np.inf, limit)
    bend = np.clip(told.change - state["drift"], -limit, limit)
    state["drift"] += np.where(state["rows"] == 0, 0.0, np.maximum(early, settings.drift_rate) * bend)
    state["fast"] += np.maximum(early, settings.fast_rate) * errors[:, 1]
    state["slow"] += np.maximum(early, settings.slow_rate) * errors[:, 2]


def hopeless(state: Columns) -> npt.NDArray[np.bool_]:
    """Series whose scale is not what was learned: outliers without end, or errors far below what is called usual."""
    lost: npt.NDArray[np.bool_] = (state["outliers"] >= HOPELESS) | (state["calm"] >= HOPELESS)
    return lost
