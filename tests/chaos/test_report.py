"""What a run of chaos says, and the command's own answers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from infra.chaos import report
from infra.chaos.inject import Done
from infra.chaos.rounds import Result
from infra.chaos.run import Plan, Run
from infra.chaos.schedule import KINDS, Action, Round, Step
from infra.cli import main

STEP = Step(2.5, Action.KILL, "worker-1")
PLANNED = Round(1, "kill-worker", 77, (STEP,), 5.5)
VIEWS = {"telemetry": {"present": 990, "lost": 0, "duplicated": 0}}
RECONCILED = {"exact": True, "sent": 1_001, "acknowledged": 1_000, "logged": 1_000, "views": VIEWS}
GOOD = Result(PLANNED, [Done(STEP, 2.51, 4711)], 12.3, {}, RECONCILED, {"equal": True})
LOST = {"exact": False, "views": {"telemetry": {"present": 987, "lost": 3, "duplicated": 0}}}
BAD = Result(
    replace(PLANNED, number=2), [Done(STEP, 2.51, 4712)], 9.0, problem="fleetlog reconcile is not exact", report=LOST
)


def test_a_passed_round_is_one_line() -> None:
    line = report.progress(replace(GOOD, unasked={"redis": 2}), 30)
    assert "\n" not in line
    for part in ("1/30", "kill-worker", "12.3 s", "exact, equal", "1,000 acknowledged", "redis restarted 2x unasked"):
        assert part in line


def test_a_failed_round_says_so_in_its_line() -> None:
    assert "FAILED: fleetlog reconcile is not exact" in report.progress(BAD, 30)


def test_the_table_counts_rounds_by_fault() -> None:
    lines = report.table(Run(Plan(5, 2), Path("/d"), [GOOD, BAD])).splitlines()
    assert lines[1].split() == ["kill-worker", "2", "1", "12.3"]
    assert lines[2] == "seed 5: 1 of 2 rounds passed in 21 s"


def test_the_table_ends_with_the_counts_of_the_whole_run() -> None:
    last = report.table(Run(Plan(5, 1), Path("/d"), [GOOD])).splitlines()[-1]
    assert last == "1,001 sent, 1,000 acknowledged, 1,000 logged; telemetry: 990 present, 0 lost, 0 duplicated"


def test_a_failure_tells_all_that_is_needed_to_look_into_it() -> None:
    run = Run(Plan(5, 2), Path("/d"), [GOOD, BAD], {Path("/d/logs/worker-1.log"): ["the last line"]})
    text = report.failure(run)
    for part in ("seed 5, round 2", "kill-worker", "2.51 s kill worker-1 (pid 4712)", '"lost": 3', "/d", "the last line"):
        assert part in text


def test_a_run_passes_only_when_all_rounds_were_run_and_passed() -> None:
    plan = Plan(5, 2)
    assert Run(plan, Path("/d"), [GOOD, GOOD]).passed
    assert not Run(plan, Path("/d"), [GOOD, BAD]).passed
    assert not Run(plan, Path("/d"), [GOOD]).passed


def test_json_holds_the_whole_run() -> None:
    run = json.loads(json.dumps(report.as_json(Run(Plan(5, 2), Path("/d"), [GOOD, BAD]))))
    assert (run["passed"], run["seed"], run["rounds"], run["data"]) == (False, 5, 2, "/d")
    first, second = run["results"]
    assert first["steps"] == [{"at": 2.51, "action": "kill", "process": "worker-1", "pid": 4711}]
    assert first["reconcile"]["acknowledged"] == 1_000
    assert second["report"]["views"]["telemetry"]["lost"] == 3


def test_list_prints_the_rounds_of_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["chaos", "--list", "--seed", "3", "--rounds", "30"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 30
    assert all(fault in printed for fault in KINDS)
    assert main.main(["chaos", "--list", "--seed", "3", "--rounds", "2", "--json"]) == 0
    assert [planned["number"] for planned in json.loads(capsys.readouterr().out)] == [1, 2]


def test_an_unknown_fault_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["chaos", "--faults", "kill-worker,kill-time"]) == 2
    message = capsys.readouterr().err
    assert "no fault kill-time" in message
    assert "freeze-broker" in message


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_a_number_of_rounds_that_is_none_is_refused(rounds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["chaos", "--rounds", rounds])
    assert ended.value.code == 2
