"""`fleetlog drill`: the proof that the archive is enough to bring everything back."""

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, duration, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.drill import Plan, Report


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "drill",
        "fill a stack of its own, archive it, delete its Kafka, Redis, ClickHouse and registry, restore all from the "
        "archive, prove that the views are the same, and say how much was lost (RPO) and how long it took (RTO). Touches "
        "nothing of the stack that the settings name. Exits 1 if anything differs",
        "fleetlog drill --for 30s --devices 50",
        _run,
    )
    command.add_argument("--for", dest="seconds", type=duration, default=10.0, help="how long it is filled (default 10s)")
    command.add_argument("--devices", type=int, default=10, help="devices that register themselves (default 10)")
    command.add_argument("--rate", type=float, default=300.0, help="telemetry records a second of all (default 300)")
    command.add_argument(
        "--lose", type=duration, default=2.0, help="load after archiving, which must be lost (default 2s; 0: none)"
    )
    command.add_argument("--folder", type=Path, help="where it works (default: a new one, removed afterwards)")
    command.add_argument("--json", action="store_true", help="print JSON")


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from infra.drill import Plan

    if options.devices < 1 or options.rate < 0:
        return fail("a drill needs a device and a rate that is not negative", 2)
    plan = Plan(options.seconds, options.devices, options.rate, options.lose)
    if options.folder is None:
        with tempfile.TemporaryDirectory(prefix="fleetlog-drill-") as folder:
            return _drilled(options, plan, settings, Path(folder))
    if options.folder.exists() and (not options.folder.is_dir() or any(options.folder.iterdir())):
        return fail(f"{options.folder} is not an empty folder: a drill deletes what is in it", 2)
    options.folder.mkdir(parents=True, exist_ok=True)
    return _drilled(options, plan, settings, options.folder)


def _drilled(options: argparse.Namespace, plan: "Plan", settings: Settings, folder: Path) -> int:
    from connectors.kafka_rewriter import Misplaced
    from connectors.objects import Refused
    from connectors.ports import Away
    from connectors.registry_export import NotImported
    from infra.drill import DrillFailed, drill
    from infra.restore import NotRestored
    from infra.stack.service import StackError

    try:
        report = drill(plan, settings, folder, lambda text: print(f"fleetlog: {text}", file=sys.stderr, flush=True))
    except StackError as error:
        return fail(str(error), error.code)
    except (Away, Refused) as away:
        return fail(str(away), 3)
    except (DrillFailed, NotRestored, NotImported, Misplaced, ValueError) as error:
        return fail(str(error), 1)
    if options.json:
        print_json(asdict(report) | {"passed": report.passed})
    else:
        _print(report)
    return 0 if report.passed else 1


def _print(report: "Report") -> None:
    for verdict in report.views:
        named = ", ".join(verdict.differing[:5])
        how = f"root {verdict.root[:16]}, as before" if verdict.equal else f"DIFFERS: {named}"
        print(f"{verdict.view}: {verdict.keys:,} keys, {how}")
    for line in report.undecided:
        print(f"decider {line}")
    print(f"archive: {report.archived_records:,} records in {report.archived_bytes:,} bytes")
    print(f"RPO: {report.rpo_records:,} records, the oldest {report.rpo_seconds:.1f} s old, were archived by nobody yet")
    print(
        f"RTO: {report.rto_seconds:.1f} s from nothing to views made anew; of these {report.restore_seconds:.1f} s for "
        f"{report.restored.records:,} records and {report.restored.schemas:,} schemas"
    )
