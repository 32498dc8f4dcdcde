"""Moments as the log keeps them: integers of microseconds since 1970-01-01 UTC."""

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC of an aware datetime, exact."""
    return (moment - EPOCH) // MICROSECOND


def text(moment: int) -> str:
    """A moment as RFC 3339 has it, as exact as it is; its number where no calendar has it."""
    try:
        return (EPOCH + moment * MICROSECOND).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{moment} µs"


class BadMoment(ValueError):
    """Not a time, or one that can't be asked for; the message says what is wrong with it."""


UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_RELATIVE = re.compile(r"-(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d|w)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(?P<zone>[Zz]|[+-]\d{2}:\d{2})?")
FORMS = (
    "RFC 3339 with a zone (2026-05-01T12:00:00Z), a date (2026-05-01: its first moment, UTC), now, or back from now (-2h)"
)


def moment_of(given: str, now: int) -> int:
    """The moment that a person means: RFC 3339 with a zone, a date (its first moment, UTC), `now`, or `-90s`, `-2h`, `-1d`
    (back from `now`).

    Raises:
        BadMoment: it is none of these, or after `now`.
    """
    moment = future_moment_of(given, now)
    if moment > now:
        raise BadMoment(f"{given} is in the future: it is {text(now)}")
    return moment


def future_moment_of(given: str, now: int) -> int:
    """As `moment_of`, of what may still come."""
    if given == "now":
        return now
    if relative := _RELATIVE.fullmatch(given):
        return now - round(float(relative[1]) * UNITS[relative[2]])
    whole = _RFC_3339.fullmatch(given)
    if whole is None and not _DATE.fullmatch(given):
        raise BadMoment(f"{given[:50]!r} is no time: {FORMS}")
    if whole is not None and whole["zone"] is None:
        raise BadMoment(f"{given!r} has no zone: Z for UTC, or such as +02:00")
    try:
        found = datetime.fromisoformat(given.upper())
        return micros(found if whole is not None else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise BadMoment(f"{given!r} is no time of the calendar: {error}") from None
