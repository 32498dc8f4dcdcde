"""`fleetlog projection rebuild`, `resume`, `pause`, `cancel`: making a version."""

import argparse
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.cli.answering import answered
from infra.cli.command import Commands, add_command, fail, print_json
from infra.cli.progress import Bar
from infra.cli.span import BadPoint, add_span, asked_span, span_of
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.rebuilds import Rebuilds
    from streams.partial import Asked
    from streams.replay import Span
    from streams.versions import State, Version

Make = Callable[["Rebuilds", Bar], "Version"]


def add(actions: Commands) -> None:
    command = add_command(
        actions,
        "rebuild",
        "make a new version of a view from the log, beside the live one, and switch to it at the end; "
        "Ctrl-C leaves a version that `resume` goes on with",
        "fleetlog projection rebuild device_state --processes 2",
        _rebuild,
    )
    command.add_argument("name", help="name of the view")
    _part(command)
    _how(command)
    command = add_command(
        actions,
        "resume",
        "go on with a rebuild that was paused, was killed or failed, from where its version stands",
        "fleetlog projection resume device_state",
        _resume,
    )
    _version(command, "default: the newest that can be resumed")
    _how(command)
    for name, summary, run in (
        ("pause", "stop a rebuild that runs in another process, at its next batch; `resume` goes on with it", _pause),
        ("cancel", "stop a rebuild for good; its version waits to be dropped", _cancel),
    ):
        command = add_command(actions, name, summary, f"fleetlog projection {name} device_state", run)
        _version(command, "default: the newest unfinished one")
        command.add_argument("--json", action="store_true", help="print JSON")


def _version(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument("name", help="name of the view")
    command.add_argument("version", nargs="?", type=int, help=f"number of the version ({default})")


def _part(command: argparse.ArgumentParser) -> None:
    """Options that ask for a part of a view."""
    for name in ("device", "key"):
        summary = f"only make the documents of these {name}s anew, in the live version"
        command.add_argument(f"--{name}", nargs="+", default=[], metavar="ID", help=summary)
    add_span(command, "of a view of rows, make only the rows of this part of the log anew, in the live version: ")
    refused = "refused, with the reason: a view can't be made anew by tenants, which records do not name"
    command.add_argument("--tenant", metavar="NAME", help=refused)


def _how(command: argparse.ArgumentParser) -> None:
    command.add_argument("--no-promote", action="store_true", help="stop when the version is ready, do not switch to it")
    command.add_argument("--processes", type=int, default=1, metavar="N", help="fold in N processes (default: 1)")
    command.add_argument("--json", action="store_true", help="print JSON")


def _rebuild(options: argparse.Namespace, settings: Settings) -> int:
    if options.device or options.key or options.tenant is not None or asked_span(options):
        try:
            span = span_of(options)
        except BadPoint as error:
            return fail(str(error), 2)
        return answered(lambda: _part_made(options, span, settings))
    return answered(lambda: _made(options, settings, lambda rebuilds, bar: rebuilds.rebuild(bar.report)))


def _resume(options: argparse.Namespace, settings: Settings) -> int:
    return answered(lambda: _made(options, settings, lambda rebuilds, bar: rebuilds.resume(options.version, bar.report)))


def _made(options: argparse.Namespace, settings: Settings, make: Make) -> int:
    from infra.rebuilds import Rebuilds
    from projections.catalogue import find

    projection = find(options.name)
    if options.processes < 1:
        raise ValueError(f"--processes is {options.processes}, not at least 1")
    with Rebuilds(settings, projection, options.processes) as rebuilds, Bar(options.name) as bar:
        version = make(rebuilds, bar)
        if not options.no_promote:
            version = rebuilds.promote(version.number, bar.report)
    records = int(version.facts.get("records", "0"))
    if options.json:
        print_json({"view": options.name, "version": version.number, "state": version.state, "records": records})
    else:
        print(f"{options.name}: version {version.number} is {version.state}, made from {records:,} records")
    return 0


def _part_made(options: argparse.Namespace, span: "Span", settings: Settings) -> int:
    from infra.rebuilds import Rebuilds
    from projections.catalogue import find
    from projections.projection import RowProjection
    from streams.partial import Asked, keys_of

    projection = find(options.name)
    asked = Asked(tuple(options.key), tuple(options.device), asked_span(options), options.tenant)
    keys_of(projection, asked)  # refuses what can't be made by itself
    with Rebuilds(settings, projection) as rebuilds:
        if isinstance(projection, RowProjection):
            return _remade(options, rebuilds, span)
        return _refolded(options, rebuilds, asked)


def _remade(options: argparse.Namespace, rebuilds: "Rebuilds", span: "Span") -> int:
    from streams.rebuild import Progress

    with Bar(options.name) as bar:
        progress = Progress()

        def tell(done: int, total: int) -> None:
            progress.records, progress.total = done, total
            bar.report(progress)

        done = rebuilds.remake(span, tell)
    replaced = [f"{source} [{start}, {stop})" for source, start, stop in done.replaced]
    if options.json:
        print_json({"view": options.name, "version": done.version, "offsets": done.offsets, "replaced": replaced})
    else:
        what = f"replaced were those of {', '.join(replaced)}" if replaced else "all were as the log implies"
        print(f"{options.name}: in version {done.version} the rows of {done.offsets:,} offsets were looked over; {what}")
    return 0


def _refolded(options: argparse.Namespace, rebuilds: "Rebuilds", asked: "Asked") -> int:
    done = rebuilds.refold(asked)
    if options.json:
        print_json({"view": options.name, **asdict(done)})
    else:
        print(
            f"{options.name}: in version {done.version} {len(done.unchanged):,} documents were as the log implies, "
            f"{len(done.replaced):,} were replaced, {len(done.removed):,} removed"
        )
    return 0


def _pause(options: argparse.Namespace, settings: Settings) -> int:
    from streams.versions import State

    return answered(lambda: _asked(options, settings, State.PAUSED))


def _cancel(options: argparse.Namespace, settings: Settings) -> int:
    from streams.versions import State

    return answered(lambda: _asked(options, settings, State.CANCELLED))


def _asked(options: argparse.Namespace, settings: Settings, wanted: "State") -> int:
    from infra import compose
    from projections.catalogue import find
    from streams.versions import ask, newest_unfinished

    store = compose.store(settings, find(options.name))
    try:
        number = options.version or newest_unfinished(store)
        state = ask(store, number, wanted)
    finally:
        store.close()
    if options.json:
        print_json({"view": options.name, "version": number, "state": state, "wanted": wanted})
    elif state is wanted:
        print(f"{options.name}: version {number} is {state}")
    else:
        print(f"{options.name}: version {number} is asked to be {wanted}; its builder does so at its next batch")
    return 0
