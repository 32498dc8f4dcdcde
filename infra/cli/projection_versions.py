"""`fleetlog projection promote`, `rollback`, `diff`, `drop`: what is done with versions that are there."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.cli.answering import answered
from infra.cli.command import Commands, add_command, print_json
from infra.cli.progress import Bar
from infra.settings import Settings

if TYPE_CHECKING:
    from streams.versions import Version


NAMED = 20
"""Differing keys that are printed; --json has more."""


def add(actions: Commands) -> None:
    command = add_command(
        actions,
        "promote",
        "bring a version that is ready up to date and have readers see it, in one step",
        "fleetlog projection promote device_state",
        _promote,
    )
    _named(command)
    command.add_argument("version", nargs="?", type=int, help="number of the version (default: the newest that is ready)")
    command = add_command(
        actions,
        "rollback",
        "bring the version that was live before up to date and have readers see it again, in one step",
        "fleetlog projection rollback device_state",
        _rollback,
    )
    _named(command)
    command = add_command(
        actions,
        "diff",
        "compare two versions of a view key by key; differences because one stands further on are counted apart; exits 1 "
        "and names the keys and fields when there are others",
        "fleetlog projection diff device_state 3 4 --json",
        _diff,
    )
    _named(command)
    command.add_argument("a", type=int, help="number of a version")
    command.add_argument("b", type=int, help="number of another")
    command = add_command(
        actions,
        "drop",
        "remove a version that is not live, and all it holds",
        "fleetlog projection drop device_state 3",
        _drop,
    )
    _named(command)
    command.add_argument("version", type=int, help="number of the version")


def _named(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="name of the view")
    command.add_argument("--json", action="store_true", help="print JSON")


def _promote(options: argparse.Namespace, settings: Settings) -> int:
    return answered(lambda: _switched(options, settings, back=False))


def _rollback(options: argparse.Namespace, settings: Settings) -> int:
    return answered(lambda: _switched(options, settings, back=True))


def _switched(options: argparse.Namespace, settings: Settings, back: bool) -> int:
    from infra.rebuilds import Rebuilds
    from projections.catalogue import find

    with Rebuilds(settings, find(options.name)) as rebuilds, Bar(options.name) as bar:
        version: Version = rebuilds.rollback(bar.report) if back else rebuilds.promote(options.version, bar.report)
    return _say(options, {"version": version.number, "state": version.state}, f"version {version.number} is live")


def _diff(options: argparse.Namespace, settings: Settings) -> int:
    return answered(lambda: _differences(options, settings))


def _differences(options: argparse.Namespace, settings: Settings) -> int:
    from infra.rebuilds import Rebuilds
    from projections.catalogue import find

    with Rebuilds(settings, find(options.name)) as rebuilds:
        found = rebuilds.diff(options.a, options.b)
    if options.json:
        print_json({"view": options.name, "same": found.same, **asdict(found)})
    else:
        print(f"{options.name}: {found.equal:,} keys are equal in versions {options.a} and {options.b}")
        if found.explained:
            print(f"{found.explained:,} differ because one of the versions has not come to all their records yet")
        if found.differ:
            print(f"{found.differ:,} DIFFER:")
        for key, fields in list(found.differing.items())[:NAMED]:
            print(f"  {key}: {', '.join(fields)}")
        if found.differ > NAMED:
            print(f"  and {found.differ - NAMED:,} more")
    return 0 if found.same else 1


def _drop(options: argparse.Namespace, settings: Settings) -> int:
    return answered(lambda: _dropped(options, settings))


def _dropped(options: argparse.Namespace, settings: Settings) -> int:
    from infra import compose
    from projections.catalogue import find
    from streams.versions import drop

    store = compose.store(settings, find(options.name))
    try:
        drop(store, options.version)
    finally:
        store.close()
    return _say(options, {"version": options.version, "state": "dropped"}, f"version {options.version} is dropped")


def _say(options: argparse.Namespace, found: dict[str, object], sentence: str) -> int:
    if options.json:
        print_json({"view": options.name, **found})
    else:
        print(f"{options.name}: {sentence}")
    return 0
