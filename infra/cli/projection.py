"""`fleetlog projection`: the views, as an operator sees them."""

import argparse
from dataclasses import asdict

from infra.cli import as_of, attest, projection_rebuild, projection_verify, projection_versions
from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings


def add(commands: Commands) -> None:
    summary = "list, inspect, rebuild and verify the views"
    actions = add_group(commands, "projection", summary, "fleetlog projection status")
    for name, summary, run in (
        ("list", "the views that there are", _list),
        ("status", "versions, positions and lag of every view", _status),
    ):
        command = add_command(actions, name, summary, f"fleetlog projection {name} --json", run)
        command.add_argument("--json", action="store_true", help="print JSON")
    projection_rebuild.add(actions)
    projection_versions.add(actions)
    projection_verify.add(actions)
    attest.add_making(actions)
    command = add_command(actions, "as-of", as_of.SUMMARY, "fleetlog projection as-of device_state -2h", as_of.run)
    command.add_argument("view", metavar="NAME", help="name of the view")
    as_of.arguments(command)


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from projections.catalogue import CATALOGUE
    from projections.projection import KeyedProjection

    if options.json:
        print_json(
            [
                {
                    "name": view.name,
                    "kind": "documents" if isinstance(view, KeyedProjection) else "rows",
                    "topics": list(view.topics),
                    "revision": view.revision,
                }
                for view in CATALOGUE
            ]
        )
    else:
        for view in CATALOGUE:
            kind = "documents" if isinstance(view, KeyedProjection) else "rows"
            print(f"{view.name:<16} {kind:<10} {', '.join(view.topics)}")
    return 0


def _status(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.ports import Away
    from infra import compose, views
    from projections.catalogue import CATALOGUE

    log = compose.log_reader(settings)
    try:
        found = [views.status(settings, view, log) for view in CATALOGUE]
    except Away as away:
        return fail(str(away), 3)
    finally:
        log.close()
    if options.json:
        print_json([asdict(one) for one in found])
    else:
        print(f"{'view':<16} {'kind':<10} {'live':>5} {'folded':>12} {'lag':>10}  halted")
        for one in found:
            halted = "; ".join(f"{source}: {why}" for source, why in one.halted.items()) or "-"
            print(f"{one.name:<16} {one.kind:<10} {one.live:>5} {one.folded:>12,} {one.lag:>10,}  {halted}")
    return 1 if any(one.halted for one in found) else 0
