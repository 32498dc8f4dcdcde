"""The default detector: it foretells each row from what the series has shown, and knows how wrong it usually is.

It judges rows of windows (a minute, five, an hour: the step is not told to it), one a series or a batch of many series
at once. Numpy only.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streams.trends.detection import (
    DIP,
    FLAT_LINE,
    LESS_VARIANCE,
    LEVEL_SHIFT,
    MORE_VARIANCE,
    NOT_A_NUMBER,
    NOT_NEWER,
    SPIKE,
    Verdict,
)
from streams.trends.foretelling import foretell, hopeless, learn
from streams.trends.settings import ALARM_SCORE, Settings
from streams.trends.state import PLACES, Columns, Floats, Ints, fresh, packed, unpacked
from streams.trends.surprise import QUIET, hushed, keep_peaks, statistics, usual_peaks

MOST_MAGNITUDE = 1e150
VARIANCE, STILL = 2, 3  # channels
NAMES = ((DIP, SPIKE), (LEVEL_SHIFT, LEVEL_SHIFT), (LESS_VARIANCE, MORE_VARIANCE), (FLAT_LINE, FLAT_LINE))
KEPT_WHEN_ANEW = ("version", "at", "hush", "in_block", "blocks", "peaks")


class SeasonalDetector:
    """Several ways to foretell, chosen by their errors; strangeness measured by the series' own past peaks.

    A state has a fixed length (see `streams.trends.state`). Keyword arguments are the fields of `Settings`.
    """

    def __init__(self, **options: object) -> None:
        self.settings = Settings(**options)  # type: ignore[arg-type]  # a wrong name or type is told by its TypeError

    def start(self) -> bytes:
        return packed(fresh(1))[0]

    def step(self, state: bytes, at: int, value: float) -> tuple[bytes, Verdict]:
        """Judge one row of one series."""
        states, verdicts = self.step_many([state], [at], [value])
        return states[0], verdicts[0]

    def step_many(
        self, states: Sequence[bytes], at: Sequence[int], values: Sequence[float]
    ) -> tuple[list[bytes], list[Verdict]]:
        """Judge one row of each of several series, which cost little more than one.

        Raises:
            ValueError: a state is not one of this detector's.
        """
        matrix = unpacked(list(states))
        verdicts = self.judge(matrix, np.asarray(at, dtype=np.int64), np.asarray(values, dtype=np.float64))
        return packed(matrix), verdicts

    def run(self, at: Sequence[int] | Ints, values: Sequence[float] | Floats) -> list[Verdict]:
        """Judge all rows of one series, from a fresh state."""
        matrix = fresh(1)
        moments, numbers = np.asarray(at, dtype=np.int64), np.asarray(values, dtype=np.float64)
        return [self.judge(matrix, moments[row : row + 1], numbers[row : row + 1])[0] for row in range(len(numbers))]

    def judge(self, matrix: Floats, at: Ints, values: Floats) -> list[Verdict]:
        """Judge a row of each series of a matrix of states, which is changed.

        Rows that can't be judged leave their state alone.
        """
        finite = np.isfinite(values) & (np.abs(values) <= MOST_MAGNITUDE)
        newer = at > matrix[:, PLACES["at"].start]
        taken = np.flatnonzero(finite & newer)
        verdicts = [_refused(bool(number)) for number in finite]
        if len(taken):
            part = matrix[taken]
            for place, verdict in zip(taken, self._judge(Columns(part), at[taken], values[taken]), strict=True):
                verdicts[place] = verdict
            matrix[taken] = part
        return verdicts

    def _judge(self, state: Columns, at: Ints, values: Floats) -> list[Verdict]:
        settings = self.settings
        told = foretell(state, at, values, settings)
        channels, signs = statistics(state, told, settings)
        mean, spread = usual_peaks(state, settings)
        surprises = (np.log(channels + 1e-3) - mean) / spread + np.array(settings.bias)
        warming = np.maximum(settings.warm_rows - state["rows"], 0)
        surprise = np.where(warming > 0, QUIET, surprises.max(axis=1))
        quieted = hushed(state, surprise, settings)
        reach = np.exp(mean[:, 0] + spread[:, 0] * (settings.alarm_surprise - settings.bias[0])) * told.spread
        learn(state, values, told, settings)
        keep_peaks(state, channels, settings)
        state["rows"] += 1
        state["at"] = at.astype(np.float64)
        _learn_anew(state)
        scores = 1 / (1 + np.exp(np.clip(settings.alarm_surprise - quieted, -50, 50)))
        strangest = surprises.argmax(axis=1)
        still = (strangest == VARIANCE) & (state["same"] >= 3)  # no variance at all is told by its plainer name
        strangest = np.where(still, STILL, strangest)
        return [
            _verdict(score, NAMES[channel][int(sign > 0)], (expected, band), int(rows))
            for score, channel, sign, expected, band, rows in zip(
                scores.tolist(),
                strangest.tolist(),
                signs[np.arange(len(values)), strangest].tolist(),
                told.expected.tolist(),
                reach.tolist(),
                warming.tolist(),
                strict=True,
            )
        ]


def _verdict(score: float, reason: str, foretold: tuple[float, float], warming: int) -> Verdict:
    alarm = score >= ALARM_SCORE
    if warming:
        return Verdict(0.0, False, None, None, None, "", warming)
    expected, band = foretold
    return Verdict(score, alarm, expected, expected - band, expected + band, reason if alarm else "", 0)


def _refused(finite: bool) -> Verdict:
    return Verdict(0.0, False, None, None, None, NOT_NEWER if finite else NOT_A_NUMBER, 0)


def _learn_anew(state: Columns) -> None:
    """Start over where scale or type of a metric changed: what is usual by its peaks is kept, what is foretold is not."""
    lost = np.flatnonzero(hopeless(state))
    if len(lost):
        anew = Columns(fresh(len(lost)))
        for name in KEPT_WHEN_ANEW:
            anew[name] = state[name][lost]
        state.matrix[lost] = anew.matrix


def last_seen(state: bytes) -> int:
    """When the newest row of a series was (epoch microseconds.

    0: none yet), so that states of silent series can be let go.
    """
    return int(unpacked([state])[0, PLACES["at"].start])


def scores_of(matrix_at: npt.NDArray[np.int64], values: Floats, detector: SeasonalDetector | None = None) -> Floats:
    """Scores of many series at once.

    (row, series) moments and values in, (row, series) scores out; NaN ends a short series.
    """
    judge = (detector or SeasonalDetector()).judge
    matrix = fresh(values.shape[1])
    return np.array(
        [[verdict.score for verdict in judge(matrix, matrix_at[row], values[row])] for row in range(len(values))]
    )
