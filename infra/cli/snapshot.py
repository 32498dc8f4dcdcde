"""`fleetlog snapshot`: the snapshots that make `fleetlog as-of` fast."""

import argparse
import sys

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings


def add(commands: Commands) -> None:
    summary = "make, list and drop snapshots of views, with which as-of is fast"
    actions = add_group(commands, "snapshot", summary, "fleetlog snapshot make device_state")
    command = add_command(
        actions,
        "make",
        "fold what the log holds since the last snapshot of a view into a new one; old ones that are too many are dropped",
        "fleetlog snapshot make --all",
        _make,
    )
    command.add_argument("name", nargs="?", help="name of the view")
    command.add_argument("--all", action="store_true", help="of every view of documents")
    command.add_argument("--json", action="store_true", help="print JSON")
    summary = "the snapshots that there are, newest first; exits 1 and names those that are damaged"
    command = add_command(actions, "list", summary, "fleetlog snapshot list device_state --json", _list)
    command.add_argument("name", nargs="?", help="name of the view (default: all)")
    command.add_argument("--json", action="store_true", help="print JSON")
    summary = "remove snapshots; nothing is lost but time"
    command = add_command(actions, "drop", summary, "fleetlog snapshot drop device_state 3", _drop)
    command.add_argument("name", help="name of the view")
    command.add_argument("numbers", nargs="+", type=int, metavar="NUMBER", help="which")


def _make(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.corrections import BrokenCorrections
    from connectors.ports import Away
    from connectors.view_snapshots import Unusable
    from infra import as_of
    from projections.as_of import Untimed
    from projections.catalogue import UnknownView, find
    from streams.snapshotting import LogTooShort

    if bool(options.name) == options.all:
        return fail("name one view, or say --all", 2)
    try:
        views = as_of.KEYED if options.all else (as_of.keyed(find(options.name)),)
        made = [as_of.make_snapshot(settings, view) for view in views]
    except (UnknownView, as_of.NoSnapshots) as error:
        return fail(str(error), 2)
    except Away as away:
        return fail(str(away), 3)
    except (LogTooShort, Untimed, Unusable, BrokenCorrections, as_of.Underway) as error:
        return fail(str(error), 1)
    if options.json:
        print_json([as_of.described(head) for head in made])
    else:
        for head in made:
            print(f"{head.view}: snapshot {head.number} of {head.keys:,} documents from {head.records:,} records")
    return 0


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from infra import as_of
    from projections.catalogue import UnknownView, find

    try:
        views = as_of.KEYED if options.name is None else (as_of.keyed(find(options.name)),)
    except (UnknownView, as_of.NoSnapshots) as error:
        return fail(str(error), 2)
    snapshots = as_of.snapshots(settings)
    found = [snapshots.heads(view.name) for view in views]
    heads = [as_of.described(head) for good, _ in found for head in good]
    damaged = [str(one) for _, bad in found for one in bad]
    if options.json:
        print_json({"snapshots": heads, "damaged": damaged})
    else:
        print(f"{'view':<16} {'number':>6} {'revision':>8} {'made at':<27} {'documents':>11} {'records':>13}")
        for one in heads:
            print(
                f"{one['view']:<16} {one['number']:>6} {one['revision']:>8} {one['made_at']:<27} {one['documents']:>11,} "
                f"{one['records']:>13,}"
            )
    for why in damaged:
        print(f"fleetlog: not used: {why}", file=sys.stderr)
    return 1 if damaged else 0


def _drop(options: argparse.Namespace, settings: Settings) -> int:
    from infra import as_of
    from projections.catalogue import UnknownView, find

    try:
        view = as_of.keyed(find(options.name))
    except (UnknownView, as_of.NoSnapshots) as error:
        return fail(str(error), 2)
    snapshots = as_of.snapshots(settings)
    for number in options.numbers:
        try:
            snapshots.drop(view.name, number)
        except KeyError as error:
            return fail(str(error.args[0]), 1)
    return 0
