"""The benchmark's rules against cases reckoned by hand."""

from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.trends.scoring import PROFILES, Scored, evaluate, probation, row_values, scaled_sigmoid

STANDARD = PROFILES["standard"]
ROWS = 100  # the first 15 are not scored
WINDOW = (50, 59)


def scored(*detections: int, windows: tuple[tuple[int, int], ...] = (WINDOW,)) -> Scored:
    scores = np.zeros(ROWS)
    scores[list(detections)] = 1.0
    return Scored(scores, windows)


def test_the_sigmoid_has_the_published_values() -> None:
    assert [round(scaled_sigmoid(at), 5) for at in (-1.0, -0.5, 0.0, 1.0, 3.0)] == [0.98661, 0.84828, 0.0, -0.98661, -1.0]


def test_probation_is_15_percent_of_5000_rows_at_most() -> None:
    assert [probation(rows) for rows in (10, 100, 5000, 22695)] == [1, 15, 750, 750]


def test_a_perfect_detector_has_100_and_a_silent_one_0() -> None:
    for profile in PROFILES.values():
        assert evaluate([scored(50)], profile, 0.5).score == pytest.approx(100)
        assert evaluate([scored()], profile, 0.5).score == 0


def test_the_earliest_detection_of_a_window_counts_and_later_ones_cost_nothing() -> None:
    half = (2 / (1 + exp(-2.5)) - 1) / (2 / (1 + exp(-5)) - 1)
    expected = 100 * (half + 1) / 2  # raw `half`, from -1 (nothing found) to 1
    assert evaluate([scored(55)], STANDARD, 0.5).score == pytest.approx(expected)
    assert evaluate([scored(55, 56, 59)], STANDARD, 0.5).score == pytest.approx(expected)


def test_a_false_detection_costs_its_weight_and_less_just_behind_a_window() -> None:
    assert evaluate([scored(50, 20)], STANDARD, 0.5).score == pytest.approx(100 * (2 - 0.11) / 2)
    assert evaluate([scored(50, 20)], PROFILES["reward_low_FP"], 0.5).score == pytest.approx(100 * (2 - 0.22) / 2)
    near = 0.11 * (1 - 2 / (1 + exp(5 / 9)))  # one row behind a window of ten
    assert evaluate([scored(50, 60)], STANDARD, 0.5).score == pytest.approx(100 * (2 - near) / 2)


def test_a_missed_window_weighs_double_where_misses_matter() -> None:
    windows = ((30, 39), (70, 79))
    assert evaluate([scored(30, windows=windows)], STANDARD, 0.5).score == pytest.approx(50)
    assert evaluate([scored(30, windows=windows)], PROFILES["reward_low_FN"], 0.5).score == pytest.approx(
        100 * (1 - 2 + 4) / 6
    )


def test_the_probation_is_not_scored() -> None:
    assert evaluate([scored(50, *range(15))], STANDARD, 0.5).score == pytest.approx(100)


def test_one_threshold_serves_all_series() -> None:
    easy, loud = np.zeros(ROWS), np.full(ROWS, 0.6)
    easy[50], loud[50] = 0.5, 1.0
    result = evaluate([Scored(easy, (WINDOW,)), Scored(loud, (WINDOW,))], STANDARD)
    assert (result.threshold, result.found, result.windows, result.false) == (1.0, 1, 2, 0)
    assert result.score == pytest.approx(50)


def test_a_detector_that_only_harms_is_best_left_silent() -> None:
    result = evaluate([scored(*range(16, 49), windows=(WINDOW,))], STANDARD)
    assert (result.score, result.threshold) == (0.0, float("inf"))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=ROWS, max_size=ROWS), st.floats(0, 1))
def test_no_threshold_beats_the_chosen_one(scores: list[float], threshold: float) -> None:
    corpus = [Scored(np.array(scores), ((20, 29), (60, 64)))]
    best = evaluate(corpus, STANDARD)
    assert best.score >= evaluate(corpus, STANDARD, threshold).score - 1e-9
    assert best.score == pytest.approx(evaluate(corpus, STANDARD, best.threshold).score)


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ValueError, match="not a number, first at row 3"):
        evaluate([Scored(np.array([0.0] * 3 + [np.nan]), ((3, 3),))], STANDARD)
    with pytest.raises(ValueError, match="no series has a window"):
        evaluate([scored(windows=())], STANDARD)
    with pytest.raises(ValueError, match=r"window 1 .* overlaps"):
        row_values(ROWS, ((10, 20), (15, 30)))
