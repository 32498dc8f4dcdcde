"""`fleetlog impact`: from a record to the documents and rows that it made."""

import argparse
from typing import Any

from infra.cli.command import Commands, add_command, print_json
from infra.cli.dlq import PLACE, guarded
from infra.cli.explain import WIDTH, about
from infra.settings import Settings

SHOWN_ROWS = 20


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "impact",
        "Say which documents and rows of which views a record touches, what they would be without it, and which letters and "
        "corrections there are of it. Computed from the log by the views' own definitions, under the corrections in them.",
        "fleetlog impact fleet.telemetry:3:10042",
        guarded(_impact),
    )
    command.add_argument("place", metavar="POSITION", help=PLACE)
    command.add_argument("--json", action="store_true", help="print JSON")


def _impact(options: argparse.Namespace, settings: Settings) -> int:
    from infra.repair.desk import Desk
    from infra.repair.explaining import impact
    from schemas.places import Place

    with Desk(settings) as desk:
        report = impact(desk, Place.parse(options.place))
    print_json(report) if options.json else _print(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    version = f"{report['subject']} version {report['subject_version']}"
    print(f"{report['position']}: {report['record_type']}, schema {report['schema_id']}, {version}")
    print(f"    {str(report['values'])[:WIDTH]}")
    if report["fault"]:
        print(f"    FAULT {report['fault']}")
    for view in report["views"]:
        print(about(view) + ("" if view["reached"] else ": has not come to it yet"))
        _print_rows(view.get("rows", []))
        for key, fields in view.get("keys", {}).items():
            print(f"    {key}" + ("" if fields else ": would be the same without it"))
            for name, told in fields.items():
                print(f"        {name}: {str(told['with'])[:WIDTH]}\n            without: {str(told['without'])[:WIDTH]}")
        if not view.get("rows") and not view.get("keys"):
            print("    nothing is made from it")
        if view.get("more_keys"):
            print(f"    and {view['more_keys']} more keys")
    for one in report["letters"]:
        print(f"letter of {one['view']}: {one['reason']}: {one['detail']} ({one['set_aside_at']}, {one['lies_at']})")
    for one in report["corrections"]:
        print(f"{one['kind']} by {one['actor']} at {one['at']}: {one['reason']} ({one['lies_at']})")


def _print_rows(rows: list[dict[str, Any]]) -> None:
    for row in rows[:SHOWN_ROWS]:
        print("    row: " + ", ".join(f"{name}={value!r}" for name, value in row.items())[:WIDTH])
    if len(rows) > SHOWN_ROWS:
        print(f"    and {len(rows) - SHOWN_ROWS} more rows")
