"""Moments as the log keeps them: integers of microseconds since 1970-01-01 UTC."""

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
