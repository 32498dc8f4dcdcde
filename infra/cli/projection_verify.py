"""`fleetlog projection verify`."""

import argparse
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from projections.projection import Projection
    from streams.verify import Verdict

NAMED_DIFFERENCES = 20


def add(actions: Commands) -> None:
    command = add_command(
        actions,
        "verify",
        "replay the log into scratch and compare Merkle roots, then what differs; exits 1 and names the keys that differ",
        "fleetlog projection verify --all --json",
        _verify,
    )
    command.add_argument("name", nargs="?", help="name of the view")
    command.add_argument("--all", action="store_true", help="verify every view")
    command.add_argument("--sample", type=_keys, metavar="N", help="fold only N random keys anew")
    command.add_argument("--json", action="store_true", help="print JSON")


def _keys(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one key")
    return number


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra import proof
    from projections.catalogue import CATALOGUE, UnknownView, find

    if bool(options.name) == options.all:
        return fail("name one view, or say --all", 2)
    try:
        chosen: tuple[Projection, ...] = CATALOGUE if options.all else (find(options.name),)
        verdicts = {view.name: proof.verify(settings, view, options.sample) for view in chosen}
    except UnknownView as error:
        return fail(str(error), 2)
    except Away as away:
        return fail(str(away), 3)
    except ValueError as error:
        return fail(str(error), 1)
    equal = all(verdict.equal for verdict in verdicts.values())
    if options.json:
        print_json({"equal": equal, "views": {name: _told(verdict) for name, verdict in verdicts.items()}})
    else:
        for name, verdict in verdicts.items():
            print(_sentence(name, verdict))
    return 0 if equal else 1


def _told(verdict: "Verdict") -> dict[str, object]:
    return {
        "keys": verdict.keys,
        "differing": list(verdict.differing),
        "reasons": dict(verdict.reasons),
        "root": None if verdict.roots is None else verdict.roots.root.hex(),
    }


def _sentence(name: str, verdict: "Verdict") -> str:
    if verdict.equal:
        root = "" if verdict.roots is None else f"; root {verdict.roots.root.hex()}"
        return f"{name}: {verdict.keys:,} keys, all as the log implies{root}"
    shown = [
        f"  {key}: {verdict.reasons[key]}" if key in verdict.reasons else f"  {key}"
        for key in verdict.differing[:NAMED_DIFFERENCES]
    ]
    if len(verdict.differing) > NAMED_DIFFERENCES:
        shown.append(f"  and {len(verdict.differing) - NAMED_DIFFERENCES:,} more")
    return "\n".join([f"{name}: {len(verdict.differing):,} of {verdict.keys:,} keys DIFFER:", *shown])
