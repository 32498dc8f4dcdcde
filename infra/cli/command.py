"""What the modules of the `fleetlog` command share: adding a command, reading durations, reporting."""

import argparse
import json
import re
import sys
from collections.abc import Callable
from typing import Any

from infra.settings import Settings

Commands = Any  # argparse's sub-parser action, which has no public type
Run = Callable[[argparse.Namespace, Settings], int]


EXIT_CODES = (
    "exit codes: 0 done, 1 what was checked does not hold, 2 wrong usage, "
    "3 something needed does not answer, 130 interrupted"
)


def add_group(commands: Commands, name: str, summary: str, example: str) -> Commands:
    """Add a command that has actions of its own; returns what they are added to."""
    made = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}\n\n{EXIT_CODES}; ACTION --help says more",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return made.add_subparsers(dest="action", metavar="ACTION", required=True)


def add_command(commands: Commands, name: str, summary: str, example: str, run: Run) -> argparse.ArgumentParser:
    """Add a command whose --help ends with an example; returns its parser for further options."""
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(run=run)
    return made


def duration(text: str) -> float:
    """Seconds of a duration such as 90, 90s, 5m, 2h."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"not a duration such as 60s or 5m: {text!r}")
    return float(match[1]) * {"ms": 0.001, None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2, sort_keys=True, default=str))


def fail(message: str, code: int) -> int:
    """Say what is wrong on standard error; returns the exit code."""
    print(f"fleetlog: {message}", file=sys.stderr)
    return code
