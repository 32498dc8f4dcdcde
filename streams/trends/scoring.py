"""Scores of anomaly detectors by the rules of the Numenta Anomaly Benchmark (Lavin and Ahmad, ICMLA 2015).

A labelled series has windows; the best detection in each earns a reward that falls from 1 at the left edge by a scaled
sigmoid, a window without any costs `fn`, and every detection outside costs up to `fp`, less just behind a window. The
first 15 % of a series (750 rows at most) are not scored. One threshold serves all series. Sums are put on a scale where
0 is a detector that never speaks and 100 one that hits the left edge of every window and nothing else. Numpy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
PROBATION_SHARE, PROBATION_ROWS = 0.15, 5000


@dataclass(frozen=True, slots=True)
class Profile:
    """What a window found, a false detection and a missed window weigh."""

    tp: float
    fp: float
    fn: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "reward_low_FP": Profile(1.0, 0.22, 1.0),
    "reward_low_FN": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True, slots=True)
class Scored:
    """A detector's scores over one series (higher is stranger) and its labelled windows as (first, last) row, inclusive."""

    scores: Floats
    windows: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Result:
    """Of one profile: the normalised score and the threshold (detection: score >= threshold) that it was reached with."""

    score: float
    threshold: float
    found: int
    windows: int
    false: int


def scaled_sigmoid(position: float) -> float:
    """2 sigmoid(-5 position) - 1: position -1 is the left edge of a window, 0 its right edge, 3 and more far behind it."""
    return -1.0 if position >= 3.0 else float(2.0 / (1.0 + np.exp(5.0 * position)) - 1.0)


def probation(rows: int) -> int:
    """How many rows at the start of a series of that length are not scored."""
    return int(min(np.floor(PROBATION_SHARE * rows), PROBATION_SHARE * PROBATION_ROWS))


def row_values(rows: int, windows: Sequence[tuple[int, int]]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Per row the window that holds it (-1: none) and what a detection there is worth before weights (0 to 1, or -1 to 0).

    Raises:
        ValueError: windows that overlap, are out of order or reach beyond the series.
    """
    held = np.full(rows, -1, dtype=np.int64)
    values = np.full(rows, -1.0)
    edge = -1
    for number, (first, last) in enumerate(windows):
        if not edge < first <= last < rows:
            raise ValueError(f"window {number} ({first} to {last}) overlaps, is out of order or is outside of {rows} rows")
        width = last - first + 1
        held[first : last + 1] = number
        for row in range(first, last + 1):
            values[row] = scaled_sigmoid(-(last - row + 1) / width) / scaled_sigmoid(-1.0)
        next_first = windows[number + 1][0] if number + 1 < len(windows) else rows
        for row in range(last + 1, next_first):
            values[row] = scaled_sigmoid((row - last) / (width - 1)) if width > 1 else -1.0
        edge = last
    return held, values


def _events(series: Scored, profile: Profile) -> tuple[Floats, Floats, int]:
    """What lowering the threshold to each score adds to the sum; and how many windows there are to find."""
    scores = np.asarray(series.scores, dtype=np.float64)
    if np.isnan(scores).any():
        raise ValueError(f"a score is not a number, first at row {int(np.flatnonzero(np.isnan(scores))[0])}")
    held, values = row_values(len(scores), series.windows)
    scored = np.arange(len(scores)) >= probation(len(scores))
    outside = scored & (held == -1)
    thresholds, gains = [scores[outside]], [values[outside] * profile.fp]
    count = 0
    for number in range(len(series.windows)):
        rows = np.flatnonzero(scored & (held == number))
        if not len(rows):
            continue
        count += 1
        order = rows[np.argsort(-scores[rows], kind="stable")]
        best = np.maximum.accumulate(np.concatenate(([-profile.fn], values[order] * profile.tp)))
        thresholds.append(scores[order])
        gains.append(np.diff(best))
    return np.concatenate(thresholds), np.concatenate(gains), count


def evaluate(corpus: Sequence[Scored], profile: Profile, threshold: float | None = None) -> Result:
    """Score a detector over all series at one threshold; without a given one, at that which is best over all of them.

    Raises:
        ValueError: no windows at all, a score that is not a number, or windows that don't fit their series.
    """
    parts = [_events(series, profile) for series in corpus]
    windows = sum(count for _, _, count in parts)
    if not windows:
        raise ValueError("no series has a window that is scored")
    scores = np.concatenate([part[0] for part in parts])
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    sums = np.cumsum(np.concatenate([part[1] for part in parts])[order]) - profile.fn * windows
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    if threshold is None:
        best = ends[np.argmax(sums[ends])]
        threshold, raw = float(scores[best]), float(sums[best])
        if raw <= -profile.fn * windows:
            threshold, raw = float("inf"), -profile.fn * windows
    else:
        reached = int(np.count_nonzero(scores >= threshold))
        raw = float(sums[reached - 1]) if reached else -profile.fn * windows
    nothing, perfect = -profile.fn * windows, profile.tp * windows
    found, false = _counts(corpus, threshold)
    return Result(100.0 * (raw - nothing) / (perfect - nothing), threshold, found, windows, false)


def _counts(corpus: Sequence[Scored], threshold: float) -> tuple[int, int]:
    found = false = 0
    for series in corpus:
        detected = np.asarray(series.scores) >= threshold
        detected[: probation(len(detected))] = False
        held, _ = row_values(len(detected), series.windows)
        found += len(set(held[detected].tolist()) - {-1})
        false += int(np.count_nonzero(detected & (held == -1)))
    return found, false
