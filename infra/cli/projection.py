"""`fleetlog projection`: the views, as an operator sees them."""

import argparse
from typing import TYPE_CHECKING

from infra.cli import as_of, projection_rebuild, projection_status, projection_versions
from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from projections.projection import Projection
    from streams.verify import Verdict

NAMED_DIFFERENCES = 20


def add(commands: Commands) -> None:
    summary = "list, inspect, rebuild and verify the views"
    actions = add_group(commands, "projection", summary, "fleetlog projection status")
    projection_status.add(actions)
    projection_rebuild.add(actions)
    projection_versions.add(actions)
    command = add_command(
        actions,
        "verify",
        "replay the log into scratch and compare a content hash per key; exits 1 and names the keys that differ",
        "fleetlog projection verify --all --json",
        _verify,
    )
    command.add_argument("name", nargs="?", help="name of the view")
    command.add_argument("--all", action="store_true", help="verify every view")
    command.add_argument("--json", action="store_true", help="print JSON")
    command = add_command(actions, "as-of", as_of.SUMMARY, "fleetlog projection as-of device_state -2h", as_of.run)
    command.add_argument("view", metavar="NAME", help="name of the view")
    as_of.arguments(command)


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra import views
    from projections.catalogue import CATALOGUE, UnknownView, find

    if bool(options.name) == options.all:
        return fail("name one view, or say --all", 2)
    try:
        chosen: tuple[Projection, ...] = CATALOGUE if options.all else (find(options.name),)
        verdicts = {view.name: views.verify_view(settings, view) for view in chosen}
    except UnknownView as error:
        return fail(str(error), 2)
    except Away as away:
        return fail(str(away), 3)
    except ValueError as error:
        return fail(str(error), 1)
    equal = all(verdict.equal for verdict in verdicts.values())
    if options.json:
        print_json(
            {
                "equal": equal,
                "views": {
                    name: {"keys": verdict.keys, "differing": list(verdict.differing)} for name, verdict in verdicts.items()
                },
            }
        )
    else:
        for name, verdict in verdicts.items():
            print(_sentence(name, verdict))
    return 0 if equal else 1


def _sentence(name: str, verdict: "Verdict") -> str:
    if verdict.equal:
        return f"{name}: {verdict.keys:,} keys, all as the log implies"
    shown = ", ".join(verdict.differing[:NAMED_DIFFERENCES])
    more = f" and {len(verdict.differing) - NAMED_DIFFERENCES:,} more" if len(verdict.differing) > NAMED_DIFFERENCES else ""
    return f"{name}: {len(verdict.differing):,} of {verdict.keys:,} keys DIFFER: {shown}{more}"
