"""`fleetlog explain`: from a document or a row to the records that made it."""

import argparse
from typing import Any

from infra.cli.command import Commands, add_command, fail, print_json
from infra.cli.dlq import guarded
from infra.settings import Settings

SHOWN = 5
WIDTH = 150
EVERYTHING = 2**31


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "explain",
        "Say what made a document, field by field, or a row: positions in the log, schema ids and versions of subjects, "
        "the view's version and revision, and what the records say. Computed from the log by the view's own definition.",
        "fleetlog explain device_state greenhouse-1 --field metric.temperature",
        guarded(_explain),
    )
    command.add_argument("view", help="name of the view")
    command.add_argument("key", nargs="?", help="key of the document")
    command.add_argument("--field", metavar="F", help="only this field of the document")
    command.add_argument(
        "--row", nargs="+", metavar="COLUMN=VALUE", help="identity of a row: topic=T partition=P offset=O, and more of it"
    )
    command.add_argument("--limit", type=int, default=SHOWN, metavar="N", help=f"records of a sum, newest first ({SHOWN})")
    command.add_argument("--all", action="store_true", help="all records of a sum")
    command.add_argument("--json", action="store_true", help="print JSON")


def _explain(options: argparse.Namespace, settings: Settings) -> int:
    from infra.repair.desk import Desk
    from infra.repair.explaining import explained_document, explained_row
    from projections.catalogue import find
    from projections.projection import KeyedProjection

    projection = find(options.view)
    keyed = isinstance(projection, KeyedProjection)
    if keyed and (not options.key or options.row):
        return fail(f"{options.view} holds documents: name one by its key", 2)
    if not keyed and (options.key or options.field or not options.row):
        return fail(f"{options.view} holds rows: name one by --row topic=T partition=P offset=O", 2)
    if options.limit < 1:
        return fail("--limit counts from 1", 2)
    with Desk(settings) as desk:
        if isinstance(projection, KeyedProjection):
            most = EVERYTHING if options.all else options.limit
            report = explained_document(desk, projection, options.key, options.field, most)
        else:
            pairs = [text.partition("=") for text in options.row]
            if wrong := [name for name, equals, _ in pairs if not equals]:
                return fail(f"not a COLUMN=VALUE: {wrong[0]!r}", 2)
            report = explained_row(desk, projection, {name: value for name, _, value in pairs})
    print_json(report) if options.json else _print(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    print(about(report))
    for name, told in report.get("fields", {}).items():
        more = ", ..." if told["more"] else ""
        print(f"{name} = {told['value'][:WIDTH]}\n    {told['how']}: {', '.join(told['from'])}{more}")
    for row in report.get("rows", []):
        print("row: " + ", ".join(f"{name}={value!r}" for name, value in row.items()))
    for place, told in report["records"].items():
        corrected = f", corrected by {told['correction']}" if told["correction"] else ""
        print(f"{place}: {told['record_type']}, schema {told['schema_id']}, {told['subject']} version "
              f"{told['subject_version']}{corrected}\n    {str(told['values'])[:WIDTH]}")  # fmt: skip


def about(report: dict[str, Any]) -> str:
    """The view and its version."""
    code = f", code {report['code']}" if report["code"] else ""
    until = f", corrections before {report['corrections']}" if report["corrections"] else ""
    key = f" {report['key']}" if "key" in report else ""
    return f"{report['view']}{key}: version {report['version']}, revision {report['revision']}{code}{until}"
