"""A round of chaos: load, a fault in it, and the proof afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from infra.chaos.inject import Clock, Done, Injector, Processes
from infra.chaos.schedule import Round
from infra.stack.service import StackError


class LoadFailed(Exception):
    """The load ended before its time, with an error, or did not come to its end."""


class Unsettled(Exception):
    """The stack did not come to rest: a process stayed unhealthy, or a view halted or did not catch up."""


class NotProven(Exception):
    """A check did not hold, or could not be made. The message names it, `report` is what it said."""

    def __init__(self, what: str, report: object) -> None:
        super().__init__(what)
        self.report = report


class Load(Protocol):
    """Devices that send over HTTP and keep a journal of what was acknowledged."""

    def start(self, planned: Round) -> None:
        """Begin; returns when the first upload was acknowledged, raises LoadFailed if none is."""

    def watch(self) -> None:
        """Raises LoadFailed if it is not running any more."""

    def finish(self, seconds: float) -> None:
        """Wait until everything is sent and answered; raises LoadFailed if that takes more than `seconds`."""

    def stop(self) -> None:
        """End it if it still runs; harmless otherwise."""


class Proofs(Protocol):
    """See infra.chaos.checks.Checks."""

    def settle(self, seconds: float) -> None: ...
    def reconcile(self) -> dict[str, Any]: ...
    def verify(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds: how long after a round's planned end the load may take to get its last answers, and how long the views may
    then take to fold the rest."""

    drain: float = 120.0
    settle: float = 120.0


@dataclass(slots=True)
class Result:
    """What came of a round. `problem` is empty when all held; `report` is then the check's own words. `unasked` counts
    the restarts that no step of the round explains, by process."""

    planned: Round
    done: list[Done] = field(default_factory=list)
    seconds: float = 0.0
    unasked: dict[str, int] = field(default_factory=dict)
    reconciled: Mapping[str, Any] = field(default_factory=dict)
    verified: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    report: object = None

    @property
    def passed(self) -> bool:
        return not self.problem


def run_round(
    planned: Round,
    processes: Processes,
    load: Load,
    proofs: Proofs,
    bounds: Bounds | None = None,
    clock: Clock | None = None,
) -> Result:
    """Run one round. Nothing of it is left behind: no frozen process, no load. What went wrong is in the result."""
    bounds, clock = bounds or Bounds(), clock or Clock()
    result, injector = Result(planned), Injector(processes, clock)
    before = {name: processes.restarts(name) for name in processes.names}
    began = clock.now()
    try:
        _fault_under_load(planned, injector, load, bounds, clock)
        proofs.settle(bounds.settle)
        result.reconciled = proofs.reconcile()
        result.verified = proofs.verify()
    except (LoadFailed, StackError, Unsettled) as error:
        result.problem = f"{type(error).__name__}: {error}"
    except NotProven as error:
        result.problem, result.report = str(error), error.report
    result.seconds = round(clock.now() - began, 1)
    result.done = injector.done
    asked = injector.deaths
    more = {name: processes.restarts(name) - before[name] - asked.get(name, 0) for name in before}
    result.unasked = {name: count for name, count in more.items() if count > 0}
    return result


def _fault_under_load(planned: Round, injector: Injector, load: Load, bounds: Bounds, clock: Clock) -> None:
    try:
        load.start(planned)
        began = clock.now()
        try:
            injector.play(planned, began, load.watch)
        finally:
            injector.release()
        load.finish(max(0.0, began + planned.load_seconds - clock.now()) + bounds.drain)
    finally:
        load.stop()
