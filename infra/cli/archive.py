"""`fleetlog archive`: the log as files that never change, checked, and the only way in which the log gets shorter."""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, add_group, duration, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.archive import Archiving
    from streams.archive_guard import Verdict
    from streams.archiving import Outcome

EVERY = 10.0  # seconds between two runs of --follow


def add(commands: Commands) -> None:
    actions = add_group(
        commands, "archive", "archive the log, check the archive, let go of what is archived", "fleetlog archive run --once"
    )
    command = add_command(
        actions,
        "run",
        "write closed segments of the log to the archive (FLEETLOG_ARCHIVE: a folder or s3://BUCKET/PREFIX)",
        "fleetlog archive run --follow --guard",
        _run,
    )
    command.add_argument("--topic", action="append", default=[], help="only this topic; may be given several times")
    how = command.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="what is closed now, then end (the default)")
    how.add_argument("--follow", action="store_true", help="go on until interrupted")
    command.add_argument("--all", action="store_true", help="close the last segments too: nothing is left out")
    command.add_argument("--guard", action="store_true", help="after each run let go of what may go, see archive guard")
    command.add_argument("--every", type=duration, default=EVERY, help="of --follow: time between two runs (default 10s)")
    command.add_argument("--json", action="store_true", help="print JSON; with --follow a document for each run")
    _add_others(actions)


def _add_others(actions: Commands) -> None:
    command = add_command(
        actions,
        "verify",
        "check every object of the archive; exits 1 and names what is missing, damaged, edited or swapped",
        "fleetlog archive verify --deep --against-log",
        _verify,
    )
    command.add_argument("--deep", action="store_true", help="decode every record and make the Merkle roots anew")
    command.add_argument("--against-log", action="store_true", help="compare with the records that the log still holds")
    command.add_argument("--json", action="store_true", help="print JSON")
    command = add_command(
        actions,
        "guard",
        "delete from the log what is older than its topic's retention, archived and proven to be; nothing else ever is",
        "fleetlog archive guard --dry-run",
        _guard,
    )
    command.add_argument("--topic", action="append", default=[], help="only this topic; may be given several times")
    command.add_argument("--dry-run", action="store_true", help="say what would go, delete nothing")
    command.add_argument("--json", action="store_true", help="print JSON")
    command = add_command(
        actions,
        "restore",
        "bring the archive back into an empty cluster and registry: every record at its offset, every schema under its id",
        "fleetlog archive restore && fleetlog projection rebuild device_state",
        _restore,
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def _run(options: argparse.Namespace, settings: Settings) -> int:
    def work(archiving: "Archiving") -> int:
        while True:
            code = _one_run(options, archiving)
            if not options.follow:
                return code
            time.sleep(options.every)

    return _with(options, settings, work)


def _one_run(options: argparse.Namespace, archiving: "Archiving") -> int:
    from connectors.archive import Overtaken
    from connectors.ports import Away

    try:
        outcomes = archiving.run(options.all)
        verdicts = archiving.guard(dry=False) if options.guard else []
    except (Away, Overtaken) as reason:
        if not options.follow:
            raise
        print(f"fleetlog: {reason}; again in {options.every:g} s", file=sys.stderr)
        return 0
    held = [verdict for verdict in verdicts if verdict.held]
    if options.json:
        print_json({"topics": [asdict(outcome) for outcome in outcomes], "guard": [_told(one) for one in verdicts]})
    else:
        _print_outcomes(outcomes, quiet=options.follow)
        _print_verdicts(verdicts, dry=False)
    sys.stdout.flush()
    return 1 if held else 0


def _print_outcomes(outcomes: "list[Outcome]", quiet: bool) -> None:
    for one in outcomes:
        if one.segments or not quiet:
            print(
                f"{one.topic}: {one.records:,} records in {one.segments:,} segments, {one.bytes:,} bytes; "
                f"{one.waiting:,} offsets are in segments that are still open"
            )


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    from infra.archive import verify

    return _refusals(lambda: _verified(options, verify(settings, options.deep, options.against_log)))


def _verified(options: argparse.Namespace, report: object) -> int:
    from streams.archive_check import Report

    assert isinstance(report, Report)
    if options.json:
        print_json(asdict(report) | {"whole": not report.findings})
        return 1 if report.findings else 0
    for finding in report.findings:
        print(f"{finding.place}: {finding.what.removeprefix(f'{finding.place}: ').removeprefix(f'{finding.place} ')}")
    if report.strays:
        print(f"{len(report.strays):,} objects are listed nowhere, left by runs that were killed: {report.strays[0]} ...")
    counts = f"{report.records:,} records in {report.segments:,} segments of {report.topics:,} topics"
    print(f"{counts}: " + (f"{len(report.findings):,} FAULTS" if report.findings else "whole"))
    return 1 if report.findings else 0


def _guard(options: argparse.Namespace, settings: Settings) -> int:
    def work(archiving: "Archiving") -> int:
        verdicts = archiving.guard(options.dry_run)
        if options.json:
            print_json([_told(verdict) for verdict in verdicts])
        else:
            _print_verdicts(verdicts, options.dry_run)
        return 1 if any(verdict.held for verdict in verdicts) else 0

    return _with(options, settings, work)


def _restore(options: argparse.Namespace, settings: Settings) -> int:
    from connectors.kafka_rewriter import Misplaced
    from connectors.registry_export import NotImported
    from infra.restore import NotRestored, restore

    def work() -> int:
        done = restore(settings)
        if options.json:
            print_json(asdict(done))
        else:
            print(
                f"{done.records:,} records of {done.topics:,} topics at their offsets, {done.schemas:,} schemas, "
                f"offsets of {done.groups:,} groups; the same as in the archive. Next: projection rebuild of every view"
            )
        return 0

    try:
        return _refusals(work)
    except (NotRestored, NotImported, Misplaced) as error:
        return fail(str(error), 1)


def _told(verdict: "Verdict") -> dict[str, object]:
    return {"partition": str(verdict.source), "before": verdict.before, "now": verdict.now, "held": verdict.held}


def _print_verdicts(verdicts: "list[Verdict]", dry: bool) -> None:
    for one in verdicts:
        if one.now > one.before:
            print(f"{one.source}: offsets {one.before:,} to {one.now:,} {'may go' if dry else 'are archived only'}")
        if one.held:
            print(f"{one.source}: nothing from offset {one.now:,} on may go: {one.held}")
    if not any(one.held or one.now > one.before for one in verdicts):
        print("nothing in the log is older than its topic's retention") if dry else None


def _with(options: argparse.Namespace, settings: Settings, work: "Callable[[Archiving], int]") -> int:
    from infra.archive import Archiving, UnknownTopic

    try:
        archiving = Archiving(settings, options.topic)
    except UnknownTopic as error:
        return fail(str(error), 2)
    try:
        return _refusals(lambda: work(archiving))
    finally:
        archiving.close()


def _refusals(work: Callable[[], int]) -> int:
    """The exit code of `work`, or of what it raises."""
    from connectors.archive import Overtaken
    from connectors.objects import Refused
    from connectors.ports import Away

    try:
        return work()
    except (Away, Refused) as away:
        return fail(str(away), 3)
    except (ValueError, Overtaken) as error:
        return fail(str(error), 1)
