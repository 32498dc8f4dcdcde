"""`fleetlog witness`: a witness of the certificate ledger, and what it has seen."""

import argparse
import json
from pathlib import Path

from infra.cli.command import Commands, add_command, add_group, duration, fail, print_json
from infra.settings import Settings

NAME = "fleetlog.local/witness"


def add(commands: Commands) -> None:
    group = add_group(
        commands,
        "witness",
        "A witness of the certificate ledger: it cosigns heads that continue what it has seen, and no others.",
        "fleetlog witness run --ledger http://127.0.0.1:8086/ledger --key ledger.vkey",
    )
    run = add_command(
        group,
        "run",
        "Watch a ledger until it is stopped, and show the newest cosigned checkpoint on FLEETLOG_WITNESS_PORT. Exit code 1: "
        "the ledger was forked or rolled back; the witness's folder holds the evidence.",
        "fleetlog witness run --ledger http://127.0.0.1:8086/ledger --directory /var/lib/witness",
        _run,
    )
    run.add_argument("--ledger", metavar="URL", help="the ledger's address (default: that of the settings' authority)")
    run.add_argument(
        "--key", metavar="KEY", help="the ledger's key, NAME+ID+BASE64 or a file of it (default: this machine's)"
    )
    run.add_argument("--name", default=NAME, help=f"the witness's own name, in its cosignatures (default {NAME})")
    run.add_argument("--every", type=duration, default=5.0, metavar="5s", help="time between two looks")
    run.add_argument(
        "--patience", type=duration, default=30.0, metavar="30s", help="how long an older head may be shown before it ends"
    )
    show = add_command(group, "show", "Show what a witness has cosigned and refused.", "fleetlog witness show --json", _show)
    show.add_argument("--json", action="store_true", help="print JSON")
    for command in (run, show):
        command.add_argument("--directory", type=Path, help="the witness's folder (default: data_dir/witness)")


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.http.server import PortTaken
    from connectors.private_files import Exposed
    from connectors.witness_files import Occupied
    from infra import logging
    from infra.ledger_keys import trusted_key
    from infra.witness import WitnessOptions, run

    key = trusted_key(settings, options.key)
    logging.configure("witness", settings.log_level)
    made = WitnessOptions(
        options.ledger or f"{settings.authority}/ledger",
        key,
        options.name,
        options.directory or settings.data / "witness",
        options.every,
        options.patience,
    )
    try:
        return run(made, settings.host, settings.witness_port)
    except (PortTaken, Occupied, Exposed, ValueError) as error:
        return fail(str(error), 2)


def _show(options: argparse.Namespace, settings: Settings) -> int:
    from datetime import UTC, datetime

    from connectors.witness_files import WitnessFiles
    from schemas.transparency.notes import parse_head, parse_note

    files = WitnessFiles(options.directory or settings.data / "witness")
    newest = files.newest()
    if newest is None:
        return fail(f"{files.directory}: nothing was cosigned here", 2)
    note = parse_note(newest)
    head = parse_head(note.text)
    cosigned = note.signatures[-1]
    at = datetime.fromtimestamp(int.from_bytes(cosigned.data[:8], "big"), UTC).isoformat()
    evidence = [json.loads(file.read_text("utf-8")) | {"file": str(file)} for file in files.evidence()]
    if options.json:
        told = {"origin": head.origin, "tree_size": head.size, "root": head.root.hex(), "witness": cosigned.name}
        print_json({**told, "cosigned_at": at, "checkpoint": newest, "evidence": evidence})
    else:
        print(f"{head.origin}: {head.size:,} leaves, root {head.root.hex()}")
        print(f"cosigned by {cosigned.name} at {at}")
        for one in evidence:
            print(f"REFUSED {one['kind']}: {one['detail']} ({one['file']})")
    return 1 if evidence else 0
