"""`fleetlog replay`: records of the past for who works with data, in a topic of their own or in a file."""

import argparse
import re
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.replay import Wanted
    from streams.replay import Tally


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "replay",
        "read the records of a topic again, from the log and its archive, into another topic or into a file (.parquet, "
        ".avro or .jsonl: decoded columns)",
        "fleetlog replay fleet.telemetry --from 2026-05-01 --to 2026-05-02T12:00Z --into may.parquet "
        "--where \"device_id == 'd-1' && size(readings) > 2\"",
        _run,
    )
    command.add_argument("topic", help="a topic of the contract")
    moment = "a time (2026-05-01T12:00Z; without a zone UTC) or an offset"
    command.add_argument("--from", dest="since", metavar="WHEN", help=f"{moment} to begin at (default: the beginning)")
    command.add_argument("--to", dest="until", metavar="WHEN", help=f"{moment} to end before (default: the present end)")
    command.add_argument("--partition", type=int, action="append", default=[], help="only this one; may be repeated")
    command.add_argument("--into", required=True, metavar="TOPIC|FILE", help="an existing topic, or a new file")
    command.add_argument("--rate", type=_rate, metavar="N/s", help="at most so many records a second")
    command.add_argument("--where", default="", metavar="CEL", help="only records of which this condition (CEL) holds")
    command.add_argument("--force", action="store_true", help="write even into a topic of the fleet; needs --reason")
    command.add_argument("--reason", default="", help="why; goes into a header of each record that was forced")
    command.add_argument("--json", action="store_true", help="print JSON")


def _rate(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/s)?", text)
    if match is None or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"not a rate such as 500/s: {text!r}")
    return float(match[1])


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from confluent_kafka import KafkaException

    from connectors.objects import Refused
    from connectors.ports import Away
    from infra.archive import UnknownTopic
    from infra.replay import NotAllowed, replay
    from schemas.archive.segment import Damaged
    from schemas.expressions import BadCondition

    try:
        tally = replay(settings, _wanted(options), _Reporter().report)
    except (NotAllowed, BadCondition, UnknownTopic, _BadPoint) as error:
        return fail(str(error), 2)
    except (Away, Refused) as away:
        return fail(str(away), 3)
    except KafkaException as error:
        return fail(f"the broker refuses: {error.args[0].str()}", 3)
    except Damaged as damage:
        return fail(f"the archive is damaged: {damage}", 1)
    except ValueError as error:
        return fail(str(error), 1)
    if options.json:
        print_json(asdict(tally) | {"into": options.into})
    else:
        print(f"{tally.passed:,} of {tally.read:,} records are in {options.into}")
        if tally.broken:
            print(f"{tally.broken:,} can't be decoded and were left out; the first: {tally.first_broken}")
        if tally.unclear:
            print(f"of {tally.unclear:,} the condition can't be said to hold: they lack what it compares")
    return 0


class _BadPoint(ValueError):
    """--from or --to is neither a time nor an offset, or they don't fit each other."""


def _wanted(options: argparse.Namespace) -> "Wanted":
    from infra.replay import NotAllowed, Wanted
    from streams.replay import FIRST_OF_TIME, LAST_OF_TIME, Span

    if options.force != bool(options.reason):
        raise NotAllowed("--force and --reason TEXT belong together")
    first, since = _point("--from", options.since)
    stop, until = _point("--to", options.until)
    if (first is not None or stop is not None) and len(options.partition) != 1:
        raise _BadPoint("an offset means nothing without its partition: say --partition N, once")
    if since is not None and since > time.time() * 1000:
        raise _BadPoint(f"--from {options.since} is in the future")
    if (since is not None and until is not None and since >= until) or (
        first is not None and stop is not None and first >= stop
    ):
        raise _BadPoint(f"--from {options.since} is not before --to {options.until}")
    span = Span(
        tuple(options.partition),
        first,
        stop,
        FIRST_OF_TIME if since is None else since,
        LAST_OF_TIME if until is None else until,
    )
    return Wanted(options.topic, options.into, span, options.where, options.rate, options.reason)


def _point(option: str, text: str | None) -> tuple[int | None, int | None]:
    """An offset and a time in milliseconds, of which at most one is there."""
    if text is None:
        return None, None
    if text.isdecimal():
        return int(text), None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _BadPoint(f"{option} {text!r} is neither an offset nor a time such as 2026-05-01T12:00Z") from None
    return None, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class _Reporter:
    """A line a second, on standard error."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def report(self, tally: "Tally") -> None:
        now = time.monotonic()
        if now - self._last >= 1.0:
            self._last = now
            print(f"{tally.passed:,} of {tally.read:,} records so far", file=sys.stderr)
