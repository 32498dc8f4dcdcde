"""Injecting faults and judging a round, on fakes: the real run is in test_chaos.py."""

import pytest

from infra.chaos.inject import Injector
from infra.chaos.rounds import NotProven, Unsettled, run_round
from infra.chaos.schedule import KINDS, Action, Round, Step, Timing, schedule
from infra.stack.service import StackError
from tests.chaos.fakes import FakeLoad, FakeProcesses, FakeProofs, FakeTime


class Parts:
    def __init__(self) -> None:
        self.time = FakeTime()
        self.processes = FakeProcesses(self.time)
        self.load, self.proofs = FakeLoad(self.time), FakeProofs()

    def run(self, planned: Round):  # type: ignore[no-untyped-def]
        return run_round(planned, self.processes, self.load, self.proofs, clock=self.time.clock())


@pytest.fixture
def parts() -> Parts:
    return Parts()


def planned(*steps: Step, load_seconds: float = 20.0) -> Round:
    return Round(1, "made-up", 0, steps, load_seconds)


def test_steps_are_done_at_their_times(parts: Parts) -> None:
    steps = (
        Step(1.5, Action.FREEZE, "redis"),
        Step(3.0, Action.KILL, "worker-1"),
        Step(8.25, Action.THAW, "redis"),
        Step(9.0, Action.STOP, "worker-0"),
        Step(12.0, Action.START, "worker-0"),
    )
    result = parts.run(planned(*steps))
    assert result.passed
    assert parts.processes.events == [
        (pytest.approx(101.5), "SIGSTOP", "redis"),
        (pytest.approx(103.0), "SIGKILL", "worker-1"),
        (pytest.approx(108.25), "SIGCONT", "redis"),
        (pytest.approx(109.0), "stop", "worker-0"),
        (pytest.approx(112.0), "start", "worker-0"),
    ]
    assert [done.pid for done in result.done] == [1003, 1002, 1003, 1001, None]


def test_a_killed_process_that_is_to_stay_down_is_not_restarted(parts: Parts) -> None:
    parts.run(planned(Step(1.0, Action.LOSE, "worker-0"), Step(5.0, Action.START, "worker-0")))
    assert [event[1:] for event in parts.processes.events] == [
        ("SIGKILL", "worker-0"),
        ("stop", "worker-0"),
        ("start", "worker-0"),
    ]


def test_a_process_that_is_being_restarted_is_waited_for(parts: Parts) -> None:
    result = parts.run(planned(Step(1.0, Action.KILL, "broker"), Step(1.05, Action.KILL, "broker")))
    assert result.passed
    first, second = (event[0] for event in parts.processes.events)
    assert second - first >= 0.2


def test_a_process_that_stays_down_fails_the_round(parts: Parts) -> None:
    parts.processes.down.add("worker-1")
    result = parts.run(planned(Step(1.0, Action.KILL, "worker-1")))
    assert not result.passed
    assert "worker-1 is not running" in result.problem


@pytest.mark.parametrize("fault", KINDS)
def test_every_kind_of_fault_leaves_nothing_frozen_or_down(parts: Parts, fault: str) -> None:
    result = parts.run(schedule(2, 1, Timing(), (fault,))[0])
    assert result.passed, result.problem
    assert not parts.processes.frozen
    assert not parts.processes.down
    assert not result.unasked
    assert parts.proofs.calls == ["settle", "reconcile", "verify"]


def test_a_load_that_ends_early_fails_the_round_and_what_was_frozen_wakes_up(parts: Parts) -> None:
    parts.load.ends_at = 105.0
    result = parts.run(
        planned(Step(1.0, Action.FREEZE, "redis"), Step(2.0, Action.STOP, "worker-0"), Step(30.0, Action.THAW, "redis"))
    )
    assert "it ended early" in result.problem
    assert not parts.processes.frozen
    assert not parts.processes.down
    assert parts.load.calls == ["start", "stop"]
    assert parts.proofs.calls == []


def test_a_load_that_does_not_drain_fails_the_round(parts: Parts) -> None:
    parts.load.drains = False
    result = parts.run(planned(Step(1.0, Action.KILL, "ingress")))
    assert "LoadFailed: it did not come to its end within 139 s" in result.problem


@pytest.mark.parametrize(
    ("broken", "problem", "reached"),
    [
        ({"settled": Unsettled("telemetry has halted at t/0: Gap")}, "Unsettled: telemetry has halted", 1),
        ({"reconciled": NotProven("fleetlog reconcile is not exact", {"lost": 3})}, "fleetlog reconcile is not exact", 2),
        ({"verified": NotProven("verify is not equal", {"differing": ["d-1"]})}, "verify is not equal", 3),
    ],
)
def test_a_check_that_does_not_hold_fails_the_round(
    parts: Parts, broken: dict[str, Exception], problem: str, reached: int
) -> None:
    for name, error in broken.items():
        setattr(parts.proofs, name, error)
    result = parts.run(planned(Step(1.0, Action.KILL, "worker-0")))
    assert result.problem.startswith(problem)
    assert len(parts.proofs.calls) == reached
    assert result.report == getattr(next(iter(broken.values())), "report", None)


def test_restarts_that_no_step_explains_are_counted(parts: Parts) -> None:
    count = parts.processes.restarts

    def restarts(name: str) -> int:
        return count(name) + (2 if name == "worker-1" and parts.time.now > 100.5 else 0)

    parts.processes.restarts = restarts  # type: ignore[method-assign]
    result = parts.run(planned(Step(1.0, Action.KILL, "worker-1"), Step(1.5, Action.KILL, "redis")))
    assert result.unasked == {"worker-1": 2}


def test_waking_what_has_died_meanwhile_is_no_error(parts: Parts) -> None:
    injector = Injector(parts.processes, parts.time.clock())
    injector.play(planned(Step(0.0, Action.FREEZE, "redis")), parts.time.now, lambda: None)
    parts.processes.down.add("redis")
    injector.release()
    with pytest.raises(StackError):
        parts.processes.pid("redis")
