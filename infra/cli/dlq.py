"""`fleetlog dlq`: records that views set aside: look at them, correct them, bring the views up to date."""

import argparse
import getpass
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.command import Commands, Run, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.repair.correct import Order

PLACE = "TOPIC:PARTITION:OFFSET of the record, or of a letter about it"


def add(commands: Commands) -> None:
    summary = "records that views set aside: list, show, patch, discard, redrive"
    actions = add_group(commands, "dlq", summary, "fleetlog dlq list --state open")
    _add_looks(actions)
    _add_corrections(actions)
    redrive = _action(
        actions,
        "redrive",
        "Bring corrections into the live views, which go on meanwhile: of the records named, or all; and all corrections "
        "that were given before. What they touch is made anew from the log.",
        "fleetlog dlq redrive --all",
        _redrive,
    )
    redrive.add_argument("places", nargs="*", metavar="POSITION", help=PLACE)
    redrive.add_argument("--all", action="store_true", help="all corrections that there are")
    redrive.add_argument(
        "--reason", metavar="R", help="of the records that were set aside for this reason (undecodable, ...)"
    )
    redrive.add_argument("--view", action="append", default=[], metavar="NAME", help="only this view; may be repeated")


def _action(actions: Commands, name: str, summary: str, example: str, run: Run) -> argparse.ArgumentParser:
    made = add_command(actions, name, summary, example, guarded(run))
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def _add_looks(actions: Commands) -> None:
    found = _action(
        actions,
        "list",
        "Count the letters by reason, view, topic and state, and list them.",
        "fleetlog dlq list --view telemetry",
        _list,
    )
    for name, text in (
        ("view", "set aside by this view"),
        ("topic", "of this topic"),
        ("reason", "for this reason, such as undecodable"),
        ("state", "open, patched, skipped (corrected, but not in the view yet) or redriven"),
    ):
        found.add_argument(f"--{name}", help=text)
    found.add_argument("--limit", type=int, default=50, metavar="N", help="letters of a page (50)")
    found.add_argument("--page", type=int, default=1, metavar="N", help="which page, from 1")
    show = _action(
        actions,
        "show",
        "Show a record as far as it can be decoded, what is wrong and where in its bytes, its letters and corrections.",
        "fleetlog dlq show fleet.telemetry:3:10042",
        _show,
    )
    show.add_argument("place", metavar="POSITION", help=PLACE)


def _add_corrections(actions: Commands) -> None:
    patch = _action(
        actions,
        "patch",
        "Let a record count with another value, at its place in the log. Key and position stay. The views have it after a "
        "redrive or a rebuild.",
        "fleetlog dlq patch fleet.telemetry:3:10042 --set readings[0].value=21.5 --reason 'sensor sent NaN'",
        _patch,
    )
    given = patch.add_mutually_exclusive_group(required=True)
    given.add_argument("--value", type=Path, metavar="FILE", help="the record's fields as JSON, as show prints them")
    given.add_argument("--bytes", type=Path, metavar="FILE", help="the whole value, framed as in the topic")
    given.add_argument(
        "--set", action="append", metavar="FIELD=VALUE", help="change this field of what can be decoded; may be repeated"
    )
    patch.add_argument("--record", metavar="NAME", help="record type of the new value, where it can't be told")
    discard = _action(
        actions,
        "discard",
        "Let records count as if they had never been there. The views leave them out after a redrive or a rebuild.",
        "fleetlog dlq discard fleet.telemetry:3:10042 --reason 'written by a load test'",
        _discard,
    )
    withdraw = _action(
        actions,
        "withdraw",
        "Take a correction back: the record counts again as it lies in the log.",
        "fleetlog dlq withdraw fleet.telemetry:3:10042 --reason 'wrong record'",
        _withdraw,
    )
    for command in (patch, discard, withdraw):
        command.add_argument("--reason", required=True, metavar="TEXT", help="why; kept with the correction")
        command.add_argument("--actor", metavar="NAME", help="who (default: user@machine)")
    for command in (patch, withdraw):
        command.add_argument("place", metavar="POSITION", help=PLACE)
    discard.add_argument("places", nargs="+", metavar="POSITION", help=PLACE)
    for command in (patch, discard):
        command.add_argument("--without-letter", action="store_true", help="also a record that no view has set aside")


def guarded(run: Run) -> Run:
    """`run`, with exit codes for what keeps it from being done."""

    def guard(options: argparse.Namespace, settings: Settings) -> int:
        from confluent_kafka import KafkaException

        from connectors.ports import Away, UnknownSchema
        from connectors.registry import RegistryRefusal
        from projections.catalogue import UnknownView
        from streams.limits import TooManyBadRecords
        from streams.partial import TooBusy
        from streams.redrive import Contended

        try:
            return run(options, settings)
        except (Away, KafkaException) as error:
            return fail(str(error), 3)
        except (RegistryRefusal, UnknownSchema) as error:
            return fail(f"the schema registry refuses: {error}", 1)
        except UnknownView as error:
            return fail(str(error), 2)
        except (ValueError, OSError, Contended, TooBusy, TooManyBadRecords) as error:
            return fail(str(error), 1)

    return guard


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from infra.cli import dlq_print
    from infra.repair.desk import Desk

    if options.limit < 1 or options.page < 1:
        return fail("--limit and --page count from 1", 2)
    with Desk(settings) as desk:
        letters = desk.letters(desk.corrections())
    filters = {name: value for name in ("view", "topic", "reason", "state") if (value := getattr(options, name))}
    report = dlq_print.listing(letters, filters, options.limit, options.page)
    print_json(report) if options.json else dlq_print.print_listing(report)
    return 0


def _show(options: argparse.Namespace, settings: Settings) -> int:
    from infra.cli import dlq_print
    from infra.repair.desk import Desk
    from schemas.places import Place

    with Desk(settings) as desk:
        report = dlq_print.record(desk, Place.parse(options.place))
    print_json(report) if options.json else dlq_print.print_record(report)
    return 0


def _order(options: argparse.Namespace) -> "Order":
    from infra.repair.correct import Order

    actor = options.actor or f"{getpass.getuser()}@{socket.gethostname()}"
    return Order(options.reason, actor[:160], getattr(options, "without_letter", False))


def _patch(options: argparse.Namespace, settings: Settings) -> int:
    from infra.repair.correct import NewValue, patch
    from infra.repair.desk import Desk
    from schemas.places import Place

    with Desk(settings) as desk:
        new = NewValue(options.value, options.bytes, tuple(options.set or ()), options.record)
        at, correction = patch(desk, Place.parse(options.place), new, _order(options))
    place = f"{correction.topic}:{correction.partition}:{correction.offset}"
    return _told(options, [(at, place)], f"counts with a new value of {len(correction.value)} bytes")


def _discard(options: argparse.Namespace, settings: Settings) -> int:
    from infra.repair.correct import discard
    from infra.repair.desk import Desk
    from schemas.places import Place

    with Desk(settings) as desk:
        done = discard(desk, [Place.parse(text) for text in options.places], _order(options))
    return _told(options, [(at, f"{c.topic}:{c.partition}:{c.offset}") for at, c in done], "does not count")


def _withdraw(options: argparse.Namespace, settings: Settings) -> int:
    from infra.repair.correct import withdraw
    from infra.repair.desk import Desk
    from schemas.places import Place

    with Desk(settings) as desk:
        at, correction = withdraw(desk, Place.parse(options.place), _order(options))
    place = f"{correction.topic}:{correction.partition}:{correction.offset}"
    return _told(options, [(at, place)], "counts again as it lies in the log")


def _told(options: argparse.Namespace, done: list[tuple[int, str]], what: str) -> int:
    if options.json:
        print_json([{"position": place, "correction": at} for at, place in done])
        return 0
    for at, place in done:
        print(f"{place} {what} (fleet.corrections:0:{at})")
    print("the views have it after `fleetlog dlq redrive --all`, or after their next rebuild")
    return 0


def _redrive(options: argparse.Namespace, settings: Settings) -> int:
    from dataclasses import asdict

    from infra.cli import dlq_print
    from infra.repair.desk import Desk
    from infra.repair.redriving import due_views, redrive
    from projections.catalogue import find

    if sum((bool(options.places), options.all, bool(options.reason))) != 1:
        return fail("name records, or say --all, or --reason R", 2)
    for name in options.view:
        find(name)
    with Desk(settings) as desk:
        until = dlq_print.until(desk, options)
        due = due_views(desk, until, options.view)
    outcomes = []
    for projection in due:
        outcomes.append(redrive(settings, projection, until))
        if not options.json:
            dlq_print.print_outcome(outcomes[-1])
    if options.json:
        print_json({"corrections": until, "views": [asdict(outcome) for outcome in outcomes]})
    elif not outcomes:
        print("every view has these corrections already")
    return 0
