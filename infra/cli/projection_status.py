"""`fleetlog projection list`, `status`: the views that there are, and where they stand."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.cli.answering import answered
from infra.cli.command import Commands, add_command, duration, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.view_status import VersionStatus, ViewStatus


def add(actions: Commands) -> None:
    command = add_command(actions, "list", "the views that there are", "fleetlog projection list --json", _list)
    command.add_argument("--json", action="store_true", help="print JSON")
    command = add_command(
        actions,
        "status",
        "position, lag, rate, time to go, versions and the last verification of views; exits 1 when one is halted",
        "fleetlog projection status --seconds 5",
        _status,
    )
    command.add_argument("name", nargs="?", help="name of one view (default: all)")
    command.add_argument("--seconds", type=duration, default=1.0, help="how long to look, to know the rates (default: 1)")
    command.add_argument("--json", action="store_true", help="print JSON")


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from projections.catalogue import CATALOGUE
    from projections.projection import KeyedProjection

    found = [
        {
            "name": view.name,
            "kind": "documents" if isinstance(view, KeyedProjection) else "rows",
            "topics": list(view.topics),
            "revision": view.revision,
        }
        for view in CATALOGUE
    ]
    if options.json:
        print_json(found)
        return 0
    for view, said in zip(CATALOGUE, found, strict=True):
        print(f"{view.name:<18} {said['kind']:<10} revision {view.revision}  {', '.join(view.topics)}")
    return 0


def _status(options: argparse.Namespace, settings: Settings) -> int:
    return answered(lambda: _standing(options, settings))


def _standing(options: argparse.Namespace, settings: Settings) -> int:
    from infra import compose
    from infra.view_status import statuses
    from projections.catalogue import CATALOGUE, find

    views = (find(options.name),) if options.name else CATALOGUE
    log = compose.log_reader(settings)
    try:
        found = statuses(settings, views, log, options.seconds)
    finally:
        log.close()
    if options.json:
        print_json([asdict(one) for one in found])
    else:
        _table(found)
    return 1 if any(one.halted for one in found) else 0


def _table(found: "list[ViewStatus]") -> None:
    head = ("view", "kind", "live", "position", "lag", "rate/s", "to go", "verified")
    rows = [head, *(_row(one) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        left, right = row[:2], row[2:7]
        cells = [text.ljust(width) for text, width in zip(left, widths[:2], strict=True)]
        cells += [text.rjust(width) for text, width in zip(right, widths[2:7], strict=True)]
        print("  ".join([*cells, row[7]]).rstrip())
    for one in found:
        for version in one.versions:
            if version.number != one.live:
                print(f"{one.name}: version {version.number} is {_of(version)}")
        for source, why in one.halted.items():
            print(f"{one.name}: HALTED at {source}: {why}")


def _row(one: "ViewStatus") -> tuple[str, ...]:
    to_go = "-" if one.eta is None else f"{one.eta:,.0f} s"
    rate = "-" if one.rate is None else f"{one.rate:,.0f}"
    verified = "-"
    if one.verified is not None:
        verdict = "equal" if one.verified["equal"] else f"{one.verified['differing']:,} DIFFER"
        verified = f"{one.verified['at']}: {verdict}"
    return (one.name, one.kind, str(one.live), f"{one.folded:,}", f"{one.lag:,}", rate, to_go, verified)


def _of(version: "VersionStatus") -> str:
    parts = [version.state]
    if version.records is not None and version.total is not None:
        parts.append(f"{version.records:,} of {version.total:,} records, {version.rate or 0:,.0f}/s")
    if version.eta is not None:
        parts.append(f"{version.eta:,.0f} s left")
    if version.silent is not None and version.silent > 5:
        parts.append(f"no sign of its builder for {version.silent:,.0f} s")
    if version.reason:
        parts.append(version.reason)
    return ", ".join(parts)
