"""`fleetlog reconcile`: proof that what was sent, acknowledged, logged and projected is the same set of records."""

import argparse
import logging
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, duration, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.reconcile.reconcile import Report


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "reconcile",
        "Compare the simulator's journal with the log, and the log with every view: each acknowledged record must be in the "
        "log once, where it was said to be and as it was sent; each record of the log in each view once, or among the "
        "dead letters; each certificate that a device has in the ledger. Exit code 1: something is lost, duplicated or "
        "changed. Exit code 2: there is no journal, or it can't be read.",
        "fleetlog reconcile --wait 60s",
        run,
    )
    command.add_argument("--journal", type=Path, metavar="DIR", help="journal folder (default: data_dir/journal)")
    command.add_argument(
        "--wait", type=duration, default=60.0, metavar="60s", help="longest wait for the views to come to the log's end"
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Reconcile; exit code 0 only if it is exact."""
    from clickhouse_driver.errors import Error as ClickHouseError
    from confluent_kafka import KafkaException
    from redis.exceptions import RedisError

    from connectors.ports import Away
    from infra.reconcile.held import NotANumber

    # The driver logs every refused connection with its traceback; what it means is said below.
    logging.getLogger("clickhouse_driver").addHandler(logging.NullHandler())
    try:
        report = _reconcile(settings, options.journal or settings.data / "journal", options.wait)
    except (Away, KafkaException) as error:
        return fail(str(error), 3)
    except (ClickHouseError, RedisError) as error:  # it answers, and refuses: a wrong password, a wrong port
        return fail(f"a store refuses: {' '.join(str(error).split('. Stack trace')[0].split())}", 3)
    except NotANumber as error:
        return fail(str(error), 1)
    except (OSError, ValueError) as error:  # of the journal, or of a setting
        return fail(str(error), 2)
    if options.json:
        print_json(report.as_json())
    else:
        _print(report)
    return 0 if report.exact else 1


def _reconcile(settings: Settings, journal: Path, wait: float) -> "Report":
    from infra import compose
    from infra.reconcile.lifecycle import LifecycleReconciliation
    from infra.reconcile.reconcile import Reconciliation, View
    from projections.catalogue import CATALOGUE, OF_UPLOADS
    from schemas import contract

    stores = compose.stores(settings)
    log = compose.log_reader(settings)
    try:
        views = {projection.name: View(projection, stores[projection.name]) for projection in CATALOGUE}
        uploads = {projection.name: views.pop(projection.name) for projection in OF_UPLOADS}
        schema_of, topics = compose.registry(settings).schema, contract.load()
        corrections = partial(compose.corrections_until, settings, log)
        report = Reconciliation(uploads, log, topics, schema_of, journal, corrections).run(wait)
        return replace(report, lifecycle=LifecycleReconciliation(views, log, topics, schema_of, corrections).run(wait))
    finally:
        log.close()
        for store in stores.values():
            store.close()


def _print(report: "Report") -> None:
    from rich.console import Console
    from rich.table import Table

    told = report.as_json()
    print(f"sent {told['sent']:,}  acknowledged {told['acknowledged']:,}  logged {told['logged']:,}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for heading in ("present", "lost", "duplicated", "set aside"):
        table.add_column(heading, justify="right")
    log = report.log
    in_place = log.acknowledged - log.lost.count - log.expired
    table.add_row("log", f"{in_place:,}", f"{log.lost.count:,}", f"{log.duplicated.count:,}", "")
    for name, view in report.all_views.items():
        counts = (view.present, view.lost.count, view.duplicated.count, view.set_aside)
        table.add_row(name, *(f"{count:,}" for count in counts))
    Console().print(table)
    for what, count in told["log"].items():
        if what not in ("lost", "duplicated") and count:
            print(f"in the log {what}: {count:,}")
    for what, count in told.get("registrations", {}).items():
        print(f"registrations {what}: {count:,}")
    for what, count in told.get("certificates", {}).items():
        print(f"certificates {what}: {count:,}")
    for name, view in report.all_views.items():
        if view.behind:
            print(f"{name} has still to fold {view.behind:,} records", file=sys.stderr)
    for text in told["offenders"]:
        print(text, file=sys.stderr)
    print("exact" if report.exact else "NOT exact")
