"""Durations as rules write them: a number and its unit."""

import re

DURATION_PATTERN = "^[0-9]{1,9}(ms|s|m|h|d)$"
MOST_MICROS = 366 * 86_400_000_000
_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")


class BadDuration(ValueError):
    """The text is no duration, or one of more than a year."""


def micros(text: str) -> int:
    """Microseconds of a duration such as 500ms, 90s, 5m, 2h, 7d.

    Raises:
        BadDuration: it is none, or longer than 366 days.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise BadDuration(f"{text[:40]!r} is no duration such as 500ms, 90s, 5m, 2h or 7d")
    length = int(found[1]) * _UNITS[found[2]]
    if length > MOST_MICROS:
        raise BadDuration(f"{text!r} is longer than 366 days")
    return length
