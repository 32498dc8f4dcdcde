"""Forecasts of series whose future is known; how often the bands hold it; time to a threshold; bad rows."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from streams.trends.forecast import BINS, DAY, LADDER, Series, forecast, learn, time_to

STEP = 600_000_000  # ten minutes
START = 1_700_006_400_000_000
PER_DAY = DAY // STEP


def learned(values: np.ndarray) -> Series:
    series = Series()
    for number, value in enumerate(values):
        assert learn(series, START + number * STEP, float(value))
    return series


def noise(rows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=rows)


def test_a_line_goes_on() -> None:
    points = forecast(learned(5 + 0.1 * np.arange(1000)), horizon=PER_DAY * STEP, points=4)
    assert [point.at for point in points] == [START + (999 + number * PER_DAY // 4) * STEP for number in (1, 2, 3, 4)]
    assert points[-1].value == pytest.approx(5 + 0.1 * (999 + PER_DAY), rel=0.02)


def test_a_daily_season_comes_again() -> None:
    time = np.arange(10 * PER_DAY)
    wave = 20 + 5 * np.sin(2 * math.pi * time / PER_DAY) + 0.3 * noise(len(time))
    points = forecast(learned(wave), horizon=DAY, points=48)
    truth = [20 + 5 * math.sin(2 * math.pi * (point.at - START) / DAY) for point in points]
    assert max(abs(point.value - value) for point, value in zip(points, truth, strict=True)) < 1.0


@pytest.mark.parametrize("kind", ["noise", "walk", "season", "line"])
def test_bands_hold_the_future_about_95_times_of_100(kind: str) -> None:
    held = total = 0
    for seed in range(10):
        rows = 8 * PER_DAY
        time = np.arange(rows + PER_DAY)
        made = {
            "noise": noise(len(time), seed),
            "walk": np.cumsum(noise(len(time), seed)),
            "season": 5 * np.sin(2 * math.pi * time / PER_DAY) + noise(len(time), seed),
            "line": 0.05 * time + noise(len(time), seed),
        }[kind]
        for point in forecast(learned(made[:rows]), horizon=64 * STEP, points=64):
            actual = made[round((point.at - START) / STEP)]
            held += point.low <= actual <= point.high
            total += 1
    assert 0.85 <= held / total <= 1.0, held / total


def test_a_disk_is_full_in_three_days() -> None:
    per_row = 30 / (3 * PER_DAY)
    values = 70 - per_row * 999 + per_row * np.arange(1000) + 0.2 * noise(1000)
    full = time_to(learned(values), 100.0, horizon=10 * DAY)
    assert full.expected == pytest.approx(3 * DAY, rel=0.15)
    assert full.earliest is not None
    assert full.latest is not None
    assert full.earliest <= full.expected <= full.latest


def test_a_battery_runs_down_to_a_lower_threshold() -> None:
    values = 90 - 0.02 * np.arange(1000) + 0.1 * noise(1000)
    empty = time_to(learned(values), 60.0, horizon=20 * DAY)
    assert empty.expected == pytest.approx(500 * STEP, rel=0.2)


def test_a_level_metric_reaches_nothing() -> None:
    assert time_to(learned(50 + 0.1 * noise(1000)), 100.0, horizon=3 * DAY).expected is None


def test_an_outlier_moves_little_and_a_new_level_is_believed() -> None:
    values = 50 + noise(1000)
    values[990] = 1e9
    assert forecast(learned(values), DAY, 1)[0].value == pytest.approx(50, abs=3)
    shifted = np.concatenate([50 + noise(800), 80 + noise(200, 2)])
    assert forecast(learned(shifted), STEP, 1)[0].value == pytest.approx(80, abs=3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e200])
def test_bad_rows_change_nothing(bad: float) -> None:
    series = learned(noise(30))
    before = asdict(series)
    assert not learn(series, START + 30 * STEP, bad)
    assert not learn(series, START + 29 * STEP, 1.0)  # not newer
    assert asdict(series) == before


def test_state_is_bounded_and_can_be_stored() -> None:
    series = learned(noise(3000))
    assert len(series.quick.promised) <= len(LADDER)
    assert len(series.seasonal.season) == BINS
    stored = Series.of(json.loads(json.dumps(series.stored())))
    assert forecast(stored, DAY) == forecast(series, DAY)


def test_too_little_was_seen_or_asked() -> None:
    assert forecast(learned(noise(5)), DAY) == []
    assert time_to(learned(noise(5)), 1.0, DAY).expected is None
    with pytest.raises(ValueError, match="a horizon and points"):
        forecast(learned(noise(30)), 0)
    with pytest.raises(TypeError, match="has two models"):
        Series.of({"rows": 1})
