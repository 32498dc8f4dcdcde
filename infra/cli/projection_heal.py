"""`fleetlog projection heal`."""

import argparse

from infra.cli.command import Commands, add_command, fail, print_json
from infra.settings import Settings


def add(actions: Commands) -> None:
    command = add_command(
        actions,
        "heal",
        "make documents of a view again from the log, while it lives: those named, or all that a verification finds wrong",
        "fleetlog projection heal device_state greenhouse-1",
        _heal,
    )
    command.add_argument("name", help="name of the view")
    command.add_argument("keys", nargs="*", metavar="KEY", help="keys of documents (default: verify, and heal what differs)")
    command.add_argument("--json", action="store_true", help="print JSON")


def _heal(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away, Conflict, Superseded
    from infra import proof
    from projections.catalogue import UnknownView, find

    try:
        healed = proof.heal_keys(settings, find(options.name), options.keys)
    except UnknownView as error:
        return fail(str(error), 2)
    except Away as away:
        return fail(str(away), 3)
    except (proof.Unproven, Conflict, Superseded, ValueError) as error:
        return fail(str(error), 1)
    if options.json:
        print_json({"view": options.name, "healed": {key: leaf and leaf.hex() for key, leaf in healed.items()}})
        return 0
    for key, leaf in healed.items():
        print(f"{options.name}: {key} " + ("removed: no record implies it" if leaf is None else "made again from the log"))
    if not healed:
        print(f"{options.name}: nothing to heal, all is as the log implies")
    return 0
