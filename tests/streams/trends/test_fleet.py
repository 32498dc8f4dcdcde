"""The fleet's folds: what they count, and that order and copies do not matter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.trends.fleet import HOUR, STAGES, Beats, Funnel, Group, shares

SECOND = 1_000_000
START = 1_700_006_400_000_000
CAMERA = Group("camera", "1.2.0")
EVENTS = st.tuples(
    st.sampled_from([*STAGES, "ChallengeFailed", "CommandRefused", "DeviceReset"]),
    st.integers(START, START + 3 * HOUR),
    st.sampled_from([CAMERA, Group("gateway")]),
    st.sampled_from(["s1", "s2", "s3"]),
    st.sampled_from(["e1", "e2", "e3"]),
)


def test_a_funnel_counts_sessions_by_stage_and_failures_by_kind() -> None:
    funnel = Funnel()
    for session in ("s1", "s2", "s3"):
        funnel.add("SessionOpened", START, CAMERA, session, session)
    for stage in STAGES:
        funnel.add(stage, START + SECOND, CAMERA, "s1", stage)
    funnel.add("ChallengeFailed", START + SECOND, CAMERA, "s2", "e1")
    funnel.add("ChallengeFailed", START + SECOND, CAMERA, "s2", "e1")  # a copy
    assert not funnel.add("DeviceReset", START, CAMERA, "s1", "e2")
    (row,) = funnel.rows()
    assert row.reached == (3, 1, 1, 1, 1)
    assert row.failures == {"ChallengeFailed": 1}
    assert row.failure_rate == 0.5


def test_a_window_without_an_end_has_no_failure_rate() -> None:
    funnel = Funnel()
    funnel.add("SessionOpened", START, CAMERA, "s1", "e1")
    assert [row.failure_rate for row in funnel.rows()] == [None]


@given(st.lists(EVENTS), st.randoms(use_true_random=False))
def test_order_and_copies_change_no_funnel(events: list[tuple[str, int, Group, str, str]], random: object) -> None:
    straight, mixed = Funnel(), Funnel()
    for event in events:
        straight.add(*event)
    doubled = events + events
    random.shuffle(doubled)  # type: ignore[attr-defined]
    for event in doubled:
        mixed.add(*event)
    assert list(straight.rows()) == list(mixed.rows())


def beats(*seconds: int) -> Beats:
    made = Beats(interval=60 * SECOND, online=90 * SECOND)
    for second in seconds:
        made.add(START + second * SECOND)
    return made


def test_regular_heartbeats_are_regular() -> None:
    row = beats(*range(0, 3600, 60)).row("d", START)
    assert (row.count, row.regularity, row.longest_gap, row.jitter, row.online) == (60, 1.0, 60 * SECOND, 0.0, 1.0)


def test_half_an_hour_of_silence_shows() -> None:
    row = beats(*range(0, 1800, 60)).row("d", START)
    assert (row.count, row.regularity, row.longest_gap) == (30, 0.5, 1860 * SECOND)
    assert row.online == (29 * 60 + 90) / 3600


def test_a_heartbeat_is_felt_in_the_next_window_too() -> None:
    made = beats(3570)
    assert made.row("d", START).online == 30 / 3600
    assert made.row("d", START + HOUR).online == 60 / 3600
    made.add(START + 3590 * SECOND)
    assert made.row("d", START + HOUR).online == 80 / 3600
    assert made.row("d", START + 2 * HOUR).online == 0


def test_jitter_is_of_gaps_in_intervals() -> None:
    row = beats(0, 30, 120).row("d", START)  # gaps of 30 and 90 s
    assert row.jitter == pytest.approx((2 * 30**2) ** 0.5 / 60)
    assert beats(0, 60).row("d", START).jitter is None


@given(st.lists(st.integers(0, 4 * 3600), max_size=60), st.randoms(use_true_random=False))
def test_order_and_copies_change_no_heartbeats_and_time_online_is_exact(seconds: list[int], random: object) -> None:
    doubled = seconds + seconds
    random.shuffle(doubled)  # type: ignore[attr-defined]
    straight, mixed = beats(*seconds), beats(*doubled)
    felt = {moment for second in seconds for moment in range(second, second + 90)}
    for hour in range(5):
        row = straight.row("d", START + hour * HOUR)
        assert row == mixed.row("d", START + hour * HOUR)
        assert row.online == pytest.approx(len(felt & set(range(hour * 3600, hour * 3600 + 3600))) / 3600)


def test_shares_by_model_and_firmware() -> None:
    always, half = beats(*range(0, 3600, 60)).row("a", START), beats(*range(0, 1770, 60)).row("b", START)
    (row,) = shares([(CAMERA, half), (CAMERA, always), (CAMERA, always)])
    assert (row.devices, row.group, row.start) == (2, CAMERA, START)
    assert row.online == pytest.approx((1 + half.online) / 2)
    assert row.regularity == 0.75


def test_what_is_over_can_be_let_go() -> None:
    made, funnel = beats(0, 3599, 3600), Funnel()
    made.forget(START + HOUR)
    assert list(made.moments) == [START + HOUR]
    funnel.add("SessionOpened", START, CAMERA, "s1", "e1")
    funnel.forget(START + HOUR)
    assert list(funnel.rows()) == []


def test_times_that_do_not_fit_a_window_are_refused() -> None:
    with pytest.raises(ValueError, match="not within a window"):
        Beats(interval=0, online=SECOND)
