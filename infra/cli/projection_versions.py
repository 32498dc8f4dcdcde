"""`fleetlog projection promote`, `rollback`, `diff`, `drop`: what is done with versions that are there."""

import argparse
from typing import TYPE_CHECKING

from infra.cli.answering import answered
from infra.cli.command import Commands, add_command, print_json
from infra.cli.progress import Bar
from infra.settings import Settings

if TYPE_CHECKING:
    from streams.versions import Version


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
