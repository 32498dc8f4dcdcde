"""`fleetlog replay`: records of the past for who works with data, in a topic of their own or in a file."""

import argparse
import re
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, fail, print_json
from infra.cli.span import BadPoint, add_span, span_of
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
    add_span(command)
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
    except (NotAllowed, BadCondition, UnknownTopic, BadPoint) as error:
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


def _wanted(options: argparse.Namespace) -> "Wanted":
    from infra.replay import NotAllowed, Wanted

    if options.force != bool(options.reason):
        raise NotAllowed("--force and --reason TEXT belong together")
    return Wanted(options.topic, options.into, span_of(options), options.where, options.rate, options.reason)


class _Reporter:
    """A line a second, on standard error."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def report(self, tally: "Tally") -> None:
        now = time.monotonic()
        if now - self._last >= 1.0:
            self._last = now
            print(f"{tally.passed:,} of {tally.read:,} records so far", file=sys.stderr)
