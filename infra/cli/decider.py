"""`fleetlog decider`: the deciders, as an operator sees them."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from streams.verify_decider import DeciderVerdict


def add(commands: Commands) -> None:
    actions = add_group(commands, "decider", "list and verify the workers' deciders", "fleetlog decider verify --json")
    listed = add_command(actions, "list", "the deciders that workers run", "fleetlog decider list", _list)
    verify = add_command(
        actions,
        "verify",
        "decide every command of the log anew, in memory, and compare with the events; exits 1 and names what differs",
        "fleetlog decider verify --json",
        _verify,
    )
    for command in (listed, verify):
        command.add_argument("--json", action="store_true", help="print JSON")


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from infra.deciders import DEFINITIONS

    if options.json:
        print_json([{"name": d.name, "commands": d.commands_topic, "events": d.events_topic} for d in DEFINITIONS])
    else:
        for definition in DEFINITIONS:
            print(f"{definition.name:<16} {definition.commands_topic} -> {definition.events_topic}")
    return 0


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra import deciders

    try:
        verdicts = deciders.verify(settings)
    except Away as away:
        return fail(str(away), 3)
    equal = all(verdict.equal for verdict in verdicts.values())
    if options.json:
        print_json({"equal": equal, "deciders": {name: asdict(verdict) for name, verdict in verdicts.items()}})
    else:
        for name, verdict in verdicts.items():
            print(_sentence(name, verdict))
    return 0 if equal else 1


def _sentence(name: str, verdict: "DeciderVerdict") -> str:
    if verdict.equal:
        return f"{name}: {verdict.commands:,} commands, each decided once; {verdict.undecided:,} wait"
    wrong = [f"DIFFERS: {what}" for what in verdict.differing] + [f"MISSING: command {what}" for what in verdict.missing]
    return "\n".join(f"{name}: {line}" for line in wrong)
