"""The default detector.

What it finds, what it keeps quiet about, what it survives, and that a batch is as good as one by one.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.trends.detection import NOT_A_NUMBER, NOT_NEWER, Verdict
from streams.trends.detector import SeasonalDetector, last_seen
from streams.trends.scoring import PROFILES, Scored, evaluate
from streams.trends.state import WIDTH, packed
from tests.streams.trends.compare import ours, rolling
from tests.streams.trends.generated import FOR_CHOOSING, HELD_OUT, START, labelled

STEP = 300_000_000  # five minutes
ROWS = 1500


def moments(rows: int) -> np.ndarray:
    return START + STEP * np.arange(rows)


def noisy(rows: int = ROWS, seed: int = 1) -> np.ndarray:
    return 20 + np.random.default_rng(seed).normal(size=rows)


def daily(rows: int = 2016) -> np.ndarray:
    return 10 * np.sin(2 * math.pi * np.arange(rows) / 288) + noisy(rows)


def judged(values: np.ndarray) -> list[Verdict]:
    return SeasonalDetector().run(moments(len(values)), values)


def alarms(verdicts: list[Verdict], first: int, last: int) -> list[str]:
    return [verdict.reason for verdict in verdicts[first:last] if verdict.alarm]


@pytest.mark.parametrize(("change", "reason"), [(12.0, "spike"), (-12.0, "dip")])
def test_a_single_value_outside_of_its_band_alarms(change: float, reason: str) -> None:
    values = noisy()
    values[1000] += change
    verdict = judged(values)[1000]
    assert (verdict.alarm, verdict.reason) == (True, reason)
    assert verdict.low is not None
    assert verdict.high is not None
    assert not verdict.low <= values[1000] <= verdict.high
    assert verdict.expected == pytest.approx(20, abs=1)


def test_a_shift_of_the_level_alarms_once_and_is_then_usual() -> None:
    values = noisy()
    values[1000:] += 3.0
    verdicts = judged(values)
    assert 1 <= len(alarms(verdicts, 1000, 1050)) <= 3
    assert alarms(verdicts, 1050, ROWS) == []
    assert verdicts[-1].expected == pytest.approx(23, abs=1)


def test_more_variance_alarms() -> None:
    values = noisy()
    values[1000:1100] += np.random.default_rng(2).normal(size=100) * 4
    assert alarms(judged(values), 1000, 1100)


def test_a_metric_that_stands_still_alarms() -> None:
    values = noisy()
    values[1000:1040] = values[1000]
    assert "flat-line" in alarms(judged(values), 1000, 1040)


def test_a_day_that_stays_out_alarms_and_the_usual_days_do_not() -> None:
    values = daily()
    values[1728:1872] = noisy(144, seed=3)  # the first half of the seventh day does not come
    verdicts = judged(values)
    assert len(alarms(verdicts, 600, 1728)) <= 3
    assert alarms(verdicts, 1728, 1872)


def test_a_constant_metric_is_quiet_and_its_change_is_not() -> None:
    values = np.full(ROWS, 5.0)
    values[1000] = 6.0
    verdicts = judged(values)
    assert alarms(verdicts, 0, 1000) == []
    assert verdicts[1000].alarm


def test_before_it_is_warm_it_says_so_and_judges_nothing() -> None:
    values = noisy(60)
    values[20] = 1e6
    verdicts = judged(values)
    assert [verdict.warming for verdict in verdicts[:3]] == [40, 39, 38]
    assert verdicts[20] == Verdict(0.0, False, None, None, None, "", 20)
    assert verdicts[40].warming == 0
    assert verdicts[40].expected is not None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_not_a_value_leaves_the_state_alone(bad: float) -> None:
    detector = SeasonalDetector()
    state = detector.start()
    for at, value in zip(moments(100), noisy(100), strict=True):
        state, _ = detector.step(state, int(at), float(value))
    after, verdict = detector.step(state, START + 100 * STEP, bad)
    assert after == state
    assert (verdict.reason, verdict.alarm) == (NOT_A_NUMBER, False)


def test_a_row_that_is_not_newer_leaves_the_state_alone() -> None:
    detector = SeasonalDetector()
    state, _ = detector.step(detector.start(), START, 1.0)
    after, verdict = detector.step(state, START, 2.0)
    assert (after, verdict.reason) == (state, NOT_NEWER)
    assert last_seen(after) == START


@pytest.mark.parametrize("factor", [1e9, 1e-9, -1.0])
def test_it_recovers_from_another_scale(factor: float) -> None:
    values = np.concatenate([noisy(800), factor * noisy(1200, seed=4)])
    values[1900] += 15 * factor
    verdicts = judged(values)
    assert len(alarms(verdicts, 1000, 1900)) <= 4
    assert verdicts[1899].expected == pytest.approx(20 * factor, rel=0.1)
    assert verdicts[1900].alarm


def test_an_absurd_value_moves_nothing_far() -> None:
    values = noisy()
    values[[5, 700, 900]] = 1e100
    verdicts = judged(values)
    assert verdicts[700].alarm
    for row in (710, 910, -1):
        assert verdicts[row].expected == pytest.approx(20, abs=2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=80), st.integers(0, 2**40))
def test_any_floats_give_finite_scores_and_a_state_of_one_length(values: list[float], gap: int) -> None:
    detector = SeasonalDetector()
    state = detector.start()
    for number, value in enumerate(values):
        state, verdict = detector.step(state, START + number * gap, value)
        assert len(state) == 8 * WIDTH < 5000
        assert 0 <= verdict.score <= 1
        assert verdict.expected is None or math.isfinite(verdict.expected)


def test_a_batch_says_what_one_by_one_says() -> None:
    detector = SeasonalDetector()
    series = [noisy(300), daily(300), np.full(300, 3.0), np.where(np.arange(300) == 150, math.nan, noisy(300, seed=5))]
    single = [detector.run(moments(300), values) for values in series]
    states = [detector.start() for _ in series]
    for row in range(300):
        states, verdicts = detector.step_many(states, [START + row * STEP] * 4, [values[row] for values in series])
        assert verdicts == [run[row] for run in single]


def test_a_state_of_another_detector_is_refused() -> None:
    with pytest.raises(ValueError, match="state 0 has 3 bytes"):
        SeasonalDetector().step(b"abc", START, 1.0)
    other = packed(np.full((1, WIDTH), 7.0))
    with pytest.raises(ValueError, match="layout version 7, this detector's is 1"):
        SeasonalDetector().step(other[0], START, 1.0)


def test_a_setting_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="fast_rate is a weight between 0 and 1"):
        SeasonalDetector(fast_rate=2.0)
    with pytest.raises(TypeError, match="colour"):
        SeasonalDetector(colour="red")


@pytest.mark.parametrize("kinds", [FOR_CHOOSING, HELD_OUT], ids=["kinds-it-was-chosen-on", "kinds-held-out"])
def test_it_beats_a_rolling_z_score_at_its_own_threshold(kinds: tuple) -> None:
    """The peer may choose its threshold with hindsight.

    The detector uses its default. Seeds are not those it was chosen on.
    """
    corpus = [labelled(kind, seed) for kind in kinds for seed in (500, 501)]
    found = [Scored(scores, series.windows) for scores, series in zip(ours(corpus), corpus, strict=True)]
    peers = [Scored(rolling(series.values), series.windows) for series in corpus]
    profile = PROFILES["standard"]
    assert evaluate(found, profile, threshold=0.5).score > evaluate(peers, profile).score
