"""`fleetlog chaos`: faults under load, and the proof that nothing was lost or counted twice."""

import argparse
import sys
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, duration, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.chaos.run import Plan


def add(commands: Commands) -> None:
    chaos = add_command(
        commands,
        "chaos",
        "start a stack of its own, kill and freeze its processes under load, and prove after each fault that nothing was "
        "lost or counted twice",
        "fleetlog chaos --rounds 3 --faults kill-worker,freeze-redis --seed 7",
        _run,
    )
    chaos.add_argument("--rounds", type=_count, default=30, help="how many rounds, one fault each (default 30)")
    chaos.add_argument("--seed", type=int, help="repeat the rounds of this seed (default: a new one, which is printed)")
    chaos.add_argument(
        "--faults", metavar="NAMES", default="", help="only these, separated by commas (an unknown name lists them all)"
    )
    chaos.add_argument(
        "--freeze", type=duration, default=30.0, help="how long a process is stopped by SIGSTOP at most (default 30s)"
    )
    chaos.add_argument("--list", action="store_true", help="print the rounds and what happens in each, and do nothing")
    chaos.add_argument("--json", action="store_true", help="print the whole run as JSON on standard output")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"not a number of rounds: {text!r}")
    return int(text)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    import secrets

    from infra.chaos import report, run
    from infra.chaos.schedule import Timing, UnknownFault, chosen
    from infra.stack.service import StackError

    try:
        faults = chosen(name.strip() for name in options.faults.split(",") if name.strip())
    except UnknownFault as error:
        return fail(str(error), 2)
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    plan = run.Plan(seed, options.rounds, Timing(session=settings.session_timeout, freeze=options.freeze), faults)
    if options.list:
        _print_schedule(plan, options.json)
        return 0
    _say(f"seed {seed}: {options.rounds} rounds; repeat them with --seed {seed}")
    try:
        done = run.run(plan, settings, lambda result: _say(report.progress(result, options.rounds)))
    except StackError as error:
        return fail(str(error), error.code)
    if not done.passed:
        _say(report.failure(done))
    if options.json:
        print_json(report.as_json(done))
    else:
        print(report.table(done))
    return 0 if done.passed else 1


def _print_schedule(plan: "Plan", as_json: bool) -> None:
    from dataclasses import asdict

    rounds = plan.schedule()
    if as_json:
        print_json([asdict(planned) for planned in rounds])
        return
    for planned in rounds:
        print(f"{planned.number:>3} {planned.fault:<36} {'; '.join(str(step) for step in planned.steps)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
