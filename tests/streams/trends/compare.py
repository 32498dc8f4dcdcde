"""Scores of the default detector beside simple peers, and how often forecast bands hold; the figures in docs/trends.md.

python -m tests.streams.trends.compare
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from streams.trends.detector import scores_of
from streams.trends.forecast import DAY, Series, forecast, learn
from streams.trends.scoring import PROFILES, Floats, Scored, evaluate
from tests.streams.trends.generated import FOR_CHOOSING, HELD_OUT, START, Labelled, labelled

STEP = 600_000_000
PER_DAY = DAY // STEP


def ours(corpus: Sequence[Labelled]) -> list[Floats]:
    longest = max(len(series.values) for series in corpus)
    at, values = np.zeros((longest, len(corpus)), dtype=np.int64), np.full((longest, len(corpus)), np.nan)
    for place, series in enumerate(corpus):
        at[: len(series.at), place], values[: len(series.at), place] = series.at, series.values
    scores = scores_of(at, values)
    return [scores[: len(series.at), place] for place, series in enumerate(corpus)]


def rolling(values: Floats, width: int = 200) -> Floats:
    """Distance from the mean of the rows before, in their standard deviations."""
    scores = np.zeros(len(values))
    for row in range(20, len(values)):
        past = values[max(0, row - width) : row]
        scores[row] = abs(values[row] - past.mean()) / (past.std() + 1e-9)
    return scores


def ewma(values: Floats, rate: float = 0.05) -> Floats:
    """A control chart: distance from an exponentially weighted mean, in the root of such a variance."""
    mean, variance, scores = values[0], 0.0, np.zeros(len(values))
    for row in range(1, len(values)):
        away = values[row] - mean
        scores[row] = abs(away) / (math.sqrt(variance) + 1e-9) if row > 20 else 0.0
        mean += rate * away
        variance = (1 - rate) * (variance + rate * away * away)
    return scores


def static(values: Floats) -> Floats:
    """Distance from the median of the first 15 %, in their range."""
    early = values[: int(0.15 * len(values))]
    scores: Floats = np.abs(values - np.median(early)) / (np.quantile(early, 0.95) - np.quantile(early, 0.05) + 1e-9)
    return scores


PEERS: dict[str, Callable[[Floats], Floats]] = {"rolling z-score": rolling, "EWMA chart": ewma, "fixed": static}


def told(name: str, scores: Sequence[Floats], corpus: Sequence[Labelled], threshold: float | None = None) -> None:
    scored = [Scored(mine, series.windows) for mine, series in zip(scores, corpus, strict=True)]
    results = {profile: evaluate(scored, weights, threshold) for profile, weights in PROFILES.items()}
    print(f"  {name:28}" + "  ".join(f"{profile} {result.score:5.1f}" for profile, result in results.items()))


def held(kind: str, seeds: range, rows: int = 8 * PER_DAY) -> float:
    """Share of the values of the next day that a band held."""
    inside = 0
    for seed in seeds:
        time = np.arange(rows + PER_DAY)
        noise = np.random.default_rng(seed).normal(size=len(time))
        made = {
            "noise": noise,
            "walk": np.cumsum(noise),
            "season": 5 * np.sin(2 * math.pi * time / PER_DAY) + noise,
            "line": 0.05 * time + noise,
        }[kind]
        series = Series()
        for row in range(rows):
            learn(series, START + row * STEP, float(made[row]))
        points = forecast(series, DAY, PER_DAY)
        inside += sum(point.low <= made[rows + number] <= point.high for number, point in enumerate(points))
    return inside / (len(seeds) * PER_DAY)


def main() -> None:
    for name, kinds, seeds in (("chosen on", FOR_CHOOSING, range(8)), ("held out", HELD_OUT, range(1000, 1008))):
        corpus = [labelled(kind, seed) for kind in kinds for seed in seeds]
        print(f"{name}: {len(corpus)} series, {sum(len(series.windows) for series in corpus)} windows")
        scores = ours(corpus)
        told("default detector", scores, corpus)
        told("default detector at 0.5", scores, corpus, 0.5)
        for peer, judge in PEERS.items():
            told(peer, [judge(series.values) for series in corpus], corpus)
    for kind in ("noise", "walk", "season", "line"):
        print(f"bands of 95 % a day ahead, {kind}: {held(kind, range(100, 140)):.1%}")


if __name__ == "__main__":
    main()
