"""What a run of chaos says: a line for each round, a table at the end, and all that is needed to look into a failure."""

import json
from collections.abc import Mapping
from typing import Any

from infra.chaos.rounds import Result
from infra.chaos.run import Run


def progress(result: Result, rounds: int) -> str:
    """One line about a round."""
    outcome = "exact, equal" if result.passed else f"FAILED: {result.problem.splitlines()[0]}"
    sent = f"{result.reconciled.get('acknowledged', 0):,} acknowledged so far" if result.reconciled else ""
    begun = f"at {result.done[0].at:.1f} s" if result.done else ""
    notes = [part for part in (begun, sent, _unasked(result)) if part]
    return (
        f"{result.planned.number:>3}/{rounds} {result.planned.fault:<36} {result.seconds:>6.1f} s  "
        f"{outcome}  ({'; '.join(notes)})"
    )


def _unasked(result: Result) -> str:
    """Restarts that no fault explains: not a failure, as nothing was lost, but worth a look."""
    return ", ".join(f"{name} restarted {count}x unasked" for name, count in sorted(result.unasked.items()))


def table(run: Run) -> str:
    """For each kind of fault how often it came, how long its rounds took, and what came of them."""
    lines = [f"{'fault':<36} {'rounds':>6} {'passed':>6} {'longest s':>10}"]
    for fault in sorted({result.planned.fault for result in run.results}):
        of_kind = [result for result in run.results if result.planned.fault == fault]
        passed, longest = sum(r.passed for r in of_kind), max(r.seconds for r in of_kind)
        lines.append(f"{fault:<36} {len(of_kind):>6} {passed:>6} {longest:>10.1f}")
    done, total = sum(r.passed for r in run.results), sum(r.seconds for r in run.results)
    lines.append(f"seed {run.plan.seed}: {done} of {run.plan.rounds} rounds passed in {total:,.0f} s")
    if run.results and run.results[-1].reconciled:
        lines.append(_last_counts(run.results[-1].reconciled))
    return "\n".join(lines)


def _last_counts(report: Mapping[str, Any]) -> str:
    views = "; ".join(
        f"{name}: {view['present']:,} present, {view['lost']} lost, {view['duplicated']} duplicated"
        for name, view in report["views"].items()
    )
    return f"{report['sent']:,} sent, {report['acknowledged']:,} acknowledged, {report['logged']:,} logged; {views}"


def failure(run: Run) -> str:
    """Everything about the round that failed: how to repeat it, what was done when, what the check said, the logs."""
    result = next(result for result in run.results if not result.passed)
    report = result.report if isinstance(result.report, str) else json.dumps(result.report, indent=1, default=str)
    steps = [str(done) for done in result.done] or ["none was done"]
    lines = [
        f"seed {run.plan.seed}, round {result.planned.number}, fault {result.planned.fault} FAILED: {result.problem}",
        f"steps done, seconds after the load began: {'; '.join(steps)}",
        f"steps planned: {'; '.join(str(step) for step in result.planned.steps)}",
        f"the check's report: {report}" if result.report is not None else "no check was reached",
        f"data and logs: {run.data}",
    ]
    for path, words in run.last_words.items():
        lines += ["", f"--- the end of {path}", *words]
    return "\n".join(lines)


def as_json(run: Run) -> dict[str, Any]:
    """The whole run for a machine."""
    return {
        "passed": run.passed,
        "seed": run.plan.seed,
        "rounds": run.plan.rounds,
        "data": None if run.passed else str(run.data),
        "results": [_result(result) for result in run.results],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "round": result.planned.number,
        "fault": result.planned.fault,
        "passed": result.passed,
        "seconds": result.seconds,
        "steps": [
            {"at": done.at, "action": str(done.step.action), "process": done.step.process, "pid": done.pid}
            for done in result.done
        ],
        "unasked_restarts": result.unasked,
        "reconcile": result.reconciled,
        "verify": result.verified,
        "problem": result.problem,
        "report": result.report,
    }
