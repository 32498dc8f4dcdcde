"""Options that name a part of the log by times or offsets, for the commands that read one."""

import argparse
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.replay import Span


class BadPoint(ValueError):
    """--from or --to is neither a time nor an offset, or they don't fit each other."""


def add_span(command: argparse.ArgumentParser, what: str = "") -> None:
    """`what`: said before the help of each option."""
    moment = "a time (2026-05-01T12:00Z; without a zone UTC) or an offset"
    command.add_argument("--from", dest="since", metavar="WHEN", help=f"{what}{moment} to begin at (default: the beginning)")
    command.add_argument(
        "--to", dest="until", metavar="WHEN", help=f"{what}{moment} to end before (default: the present end)"
    )
    command.add_argument("--partition", type=int, action="append", default=[], help=f"{what}only this one; may be repeated")


def asked_span(options: argparse.Namespace) -> bool:
    """Whether a part of the log is named at all."""
    return (options.since, options.until, options.partition) != (None, None, [])


def span_of(options: argparse.Namespace) -> "Span":
    """
    Raises:
        BadPoint.
    """
    from streams.replay import FIRST_OF_TIME, LAST_OF_TIME, Span

    first, since = _point("--from", options.since)
    stop, until = _point("--to", options.until)
    if (first is not None or stop is not None) and len(options.partition) != 1:
        raise BadPoint("an offset means nothing without its partition: say --partition N, once")
    if since is not None and since > time.time() * 1000:
        raise BadPoint(f"--from {options.since} is in the future")
    if (since is not None and until is not None and since >= until) or (
        first is not None and stop is not None and first >= stop
    ):
        raise BadPoint(f"--from {options.since} is not before --to {options.until}")
    return Span(
        tuple(options.partition),
        first,
        stop,
        FIRST_OF_TIME if since is None else since,
        LAST_OF_TIME if until is None else until,
    )


def _point(option: str, text: str | None) -> tuple[int | None, int | None]:
    """An offset and a time in milliseconds, of which at most one is there."""
    if text is None:
        return None, None
    if text.isdecimal():
        return int(text), None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadPoint(f"{option} {text!r} is neither an offset nor a time such as 2026-05-01T12:00Z") from None
    return None, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
