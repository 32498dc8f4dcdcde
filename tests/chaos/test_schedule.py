"""The schedule: what a seed stands for."""

from collections import Counter

import pytest

from infra.chaos.schedule import EVERYTHING, KINDS, Action, Round, Timing, UnknownFault, schedule

SEEDS = range(50)


def test_the_same_seed_gives_the_same_rounds_and_another_seed_gives_others() -> None:
    assert schedule(11, 30) == schedule(11, 30)
    assert schedule(11, 30) != schedule(12, 30)


def test_a_longer_run_begins_with_the_rounds_of_a_shorter_one() -> None:
    assert schedule(11, 60)[:30] == schedule(11, 30)


@pytest.mark.parametrize("seed", [0, 1, 2, 99])
def test_every_kind_of_fault_comes_within_thirty_rounds(seed: int) -> None:
    assert {planned.fault for planned in schedule(seed, 30)} == set(KINDS)


def test_the_kinds_that_are_asked_of_a_durable_pipeline_are_there() -> None:
    killed = {"worker", "both-workers", "ingress", "redis", "clickhouse", "broker", "registry", "registry-front"}
    frozen = {"worker", "ingress", "redis", "clickhouse", "broker"}
    assert {f"kill-{name}" for name in killed} | {f"freeze-{name}" for name in frozen} <= set(KINDS)
    assert {"lose-worker", "move-partitions", "kill-worker-while-clickhouse-frozen"} <= set(KINDS)


def test_deciders_die_while_devices_register() -> None:
    registering = {planned.fault for planned in schedule(0, 30) if planned.registering}
    assert {"kill-authority", "freeze-authority", "kill-deciders", "kill-worker-while-devices-register"} <= registering
    assert "kill-worker" not in registering


def test_no_kind_comes_again_before_all_have_come() -> None:
    counts = Counter(planned.fault for planned in schedule(5, len(KINDS) * 3))
    assert set(counts.values()) == {3}


def test_only_the_faults_that_were_asked_for() -> None:
    rounds = schedule(3, 5, kinds=("kill-redis", "freeze-broker", "kill-redis"))
    assert Counter(planned.fault for planned in rounds).most_common() in (
        [("kill-redis", 3), ("freeze-broker", 2)],
        [("freeze-broker", 3), ("kill-redis", 2)],
    )


def test_an_unknown_fault_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UnknownFault, match=r"no fault kill-disk; there are kill-worker, .*freeze-broker"):
        schedule(1, 1, kinds=("kill-redis", "kill-disk"))


def _of(fault: str, rounds: list[Round]) -> list[Round]:
    return [planned for planned in rounds if planned.fault == fault]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_frozen_or_put_down_comes_back_under_load(seed: int) -> None:
    timing = Timing(session=6.0, margin=2.0, freeze=8.0, tail=2.0)
    for planned in schedule(seed, len(KINDS), timing):
        away: dict[str, Action] = {}
        for step in planned.steps:
            assert step.process in EVERYTHING
            match step.action:
                case Action.FREEZE | Action.STOP | Action.LOSE:
                    assert step.process not in away
                    away[step.process] = step.action
                case Action.THAW:
                    assert away.pop(step.process) is Action.FREEZE
                case Action.START:
                    assert away.pop(step.process) in (Action.STOP, Action.LOSE)
        assert not away
        times = [step.at for step in planned.steps]
        assert times == sorted(times)
        assert timing.lead[0] <= times[0] <= timing.lead[1]
        assert planned.load_seconds == pytest.approx(times[-1] + timing.tail)


def test_faults_begin_at_different_moments() -> None:
    begins = {planned.steps[0].at for planned in schedule(1, 30)}
    assert len(begins) > 27


@pytest.mark.parametrize("fault", [name for name in KINDS if name.startswith("freeze-")])
def test_the_first_freeze_of_a_kind_lasts_the_full_time_and_later_ones_vary(fault: str) -> None:
    first, *later = _of(fault, schedule(4, 4, Timing(freeze=30.0), (fault,)))
    lasted = [planned.steps[-1].at - planned.steps[0].at for planned in (first, *later)]
    assert lasted[0] == pytest.approx(30.0, abs=0.01)
    assert all(0.1 < seconds <= 30.01 for seconds in lasted[1:])
    assert len(set(lasted)) == len(lasted)


@pytest.mark.parametrize("fault", ["lose-worker", "freeze-worker", "move-partitions"])
def test_partitions_have_time_to_move(fault: str) -> None:
    timing = Timing(session=10.0, margin=3.0, freeze=2.0)
    (planned,) = schedule(8, 1, timing, (fault,))
    down: dict[str, float] = {}
    for step in planned.steps:
        if step.action in (Action.LOSE, Action.FREEZE, Action.STOP):
            down[step.process] = step.at
        else:
            assert step.at - down[step.process] == pytest.approx(13.0, abs=0.01)
    assert len(down) == (2 if fault == "move-partitions" else 1)


def test_both_workers_are_chosen_as_the_victim() -> None:
    victims = {schedule(seed, 1, kinds=("kill-worker",))[0].steps[0].process for seed in SEEDS}
    assert victims == {"worker-0", "worker-1"}
