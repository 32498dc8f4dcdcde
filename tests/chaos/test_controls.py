"""The negative control: chaos must catch a carrier that is wrong, else it proves nothing."""

from pathlib import Path

import pytest

from infra.chaos.broken import in_place_of_worker
from infra.chaos.load import LoadOptions
from infra.chaos.rounds import Bounds
from infra.chaos.run import play
from infra.chaos.schedule import Round, Timing, schedule
from infra.settings import Settings
from infra.stack.harness import running_stack

MOST_ROUNDS = 6
TIMING = Timing(session=6.0, lead=(1.5, 3.0), tail=3.0)
KILLS = ("kill-both-workers", "kill-worker-repeatedly")


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_a_carrier_that_commits_the_position_before_it_writes_is_caught(tmp_path: Path) -> None:
    settings = Settings(session_timeout=TIMING.session, flush_seconds=0.5)
    rounds = [Round(0, "none", 1, (), 3.0), *schedule(7, MOST_ROUNDS, TIMING, KILLS)]
    # A stack of its own: its workers are not those that a stack has.
    with running_stack(tmp_path, workers=2, settings=settings, change=in_place_of_worker) as stack:
        unharmed, *killed = play(rounds, stack, LoadOptions(devices=30, rate=250.0), Bounds(drain=45.0, settle=45.0))
    assert unharmed.passed, f"as long as nothing dies its views are right: {unharmed.problem}"
    last = killed[-1]
    assert last.problem.startswith(("fleetlog reconcile --json is not exact", "fleetlog projection verify")), last.problem
    assert isinstance(last.report, dict), last.report
    wrong = [view for view in last.report["views"].values() if view.get("lost", 0) or view.get("differing")]
    assert wrong
    assert all(view.get("duplicated", 0) == 0 for view in last.report["views"].values())
