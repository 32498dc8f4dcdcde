"""When certificates end: what an operator has to expect. A function of its arguments alone."""

from collections.abc import Iterable
from typing import NamedTuple

DAY = 86_400_000_000  # microseconds
WITHIN_DAYS = (1, 7, 30, 60, 90)


class Ending(NamedTuple):
    """A certificate in use: not revoked, and not one that was renewed since. `not_after`: microseconds since 1970 UTC."""

    serial: str
    device_id: str
    not_after: int


class Bucket(NamedTuple):
    """Certificates that end within so many days, and in no narrower bucket; None: later than the widest. 0: ended."""

    within_days: int | None
    certificates: int
    next: tuple[Ending, ...]
    """The first to end, at most as many as asked for."""


def forecast(certificates: Iterable[Ending], now: int, shown: int = 10) -> list[Bucket]:
    """Buckets from the soonest on: ended, within 1, 7, 30, 60, 90 days, later. Each certificate is in one."""
    edges: list[int | None] = [0, *WITHIN_DAYS, None]
    found: dict[int | None, list[Ending]] = {edge: [] for edge in edges}
    for one in certificates:
        found[_edge(one.not_after - now)].append(one)
    return [Bucket(edge, len(found[edge]), tuple(sorted(found[edge], key=_end)[:shown])) for edge in edges]


def _edge(left: int) -> int | None:
    """The narrowest bucket for a certificate with so many microseconds left."""
    if left < 0:
        return 0
    return next((days for days in WITHIN_DAYS if left < days * DAY), None)


def _end(one: Ending) -> tuple[int, str]:
    return one.not_after, one.serial
