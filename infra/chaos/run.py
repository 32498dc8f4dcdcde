"""A run of chaos: its own stack, round after round, until one fails or all have passed."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree

from infra.chaos.checks import Checks
from infra.chaos.load import LoadOptions, Simulator
from infra.chaos.rounds import Bounds, Result, run_round
from infra.chaos.schedule import Round, Timing, schedule
from infra.settings import Settings
from infra.stack.harness import Stack, running_stack
from infra.stack.logs import readable, tail

WORKERS = 2
LINES_KEPT = 25


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run: the same seed, rounds, timing and faults give the same rounds."""

    seed: int
    rounds: int
    timing: Timing = field(default_factory=Timing)
    faults: tuple[str, ...] = ()
    load: LoadOptions = field(default_factory=LoadOptions)
    bounds: Bounds = field(default_factory=Bounds)

    def schedule(self) -> list[Round]:
        return schedule(self.seed, self.rounds, self.timing, self.faults)


@dataclass(slots=True)
class Run:
    """What came of it. `data` is the stack's directory, which is kept only if a round failed; `last_words` are then the
    ends of the log files there, as they were before the stack was stopped."""

    plan: Plan
    data: Path
    results: list[Result] = field(default_factory=list)
    last_words: dict[Path, list[str]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return len(self.results) == self.plan.rounds and all(result.passed for result in self.results)


Told = Callable[[Result], None]
Start = Callable[[Path, Settings], AbstractContextManager[Stack]]


def start_stack(data: Path, settings: Settings) -> AbstractContextManager[Stack]:
    """A whole stack on free ports with two workers."""
    return running_stack(data, workers=WORKERS, settings=settings)


def run(plan: Plan, settings: Settings, told: Told, start: Start = start_stack) -> Run:
    """Run the rounds of `plan` on a stack of their own in a temporary directory, which is removed if all pass.

    Whatever outside services the settings name are left alone.

    Raises:
        StackError: the stack can't be started.
    """
    data = Path(tempfile.mkdtemp(prefix="fleetlog-chaos-"))
    done = Run(plan, data)
    own = replace(
        settings,
        bootstrap_servers="",
        redis_url="",
        clickhouse_host="",
        registry_url="",
        ingress_url="",
        session_timeout=plan.timing.session,
        limit_registrations=0,  # a fleet of one address
        limit_heartbeats=0,
        limit_uploads=0,
    )
    with start(data, own) as stack:
        done.results = list(play(plan.schedule(), stack, plan.load, plan.bounds, told))
        if not done.passed:
            done.last_words = {
                path: [readable(line) for line in tail(path, LINES_KEPT)] for path in sorted((data / "logs").glob("*.log"))
            }
    if done.passed:
        rmtree(data)
    return done


def play(
    rounds: Iterable[Round], stack: Stack, load: LoadOptions, bounds: Bounds, told: Told = lambda result: None
) -> Iterator[Result]:
    """Run rounds on a stack, up to the first that fails."""
    simulator, checks = Simulator(stack.settings, load), Checks(stack.settings, stack)
    for planned in rounds:
        result = run_round(planned, stack, simulator, checks, bounds)
        told(result)
        yield result
        if not result.passed:
            return
