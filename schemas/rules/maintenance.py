"""Maintenance windows of a rule: times in which its alerts reach nobody."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.rules.durations import DURATION_PATTERN, micros
from schemas.rules.zones import zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FURTHEST = 2  # days: a window of a day that begins late on the day before one of 23 hours ends the day after that
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Zone = Annotated[str, Meta(min_length=1, max_length=64, description="IANA time zone of days and at; by default UTC.")]


class BadMaintenance(ValueError):
    """The window says neither or both of a time and a weekly repetition, or ends before it begins."""


class Maintenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"length": "for"}):
    """Either once, `start` until `until` (RFC 3339 with a zone); or weekly on `days` (none: every day), from `at` (HH:MM, by
    the clocks of `zone`, by default UTC) `for` so long, at most a day.

    As RFC 5545 (3.3.5) has it, a time that the clocks of a zone leave out is as long after the hour before as it would have
    been without that, and of one that they show twice the first counts. `for` is time that passes, whatever clocks show.
    """

    start: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None
    days: Annotated[tuple[Day, ...], Meta(max_length=7)] = ()
    at: Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = None
    length: Annotated[str, Meta(pattern=DURATION_PATTERN)] | None = None
    zone: Zone | None = None

    def __post_init__(self) -> None:
        once, weekly = (self.start, self.until), (self.at, self.length)
        if (None in once and None in weekly) or (any(once) and (any(weekly) or self.days)):
            raise BadMaintenance("needs start and until, or at and for")
        if self.start is not None and self.until is not None and self.until <= self.start:
            raise BadMaintenance("until must be after start")
        if self.length is not None and not 0 < micros(self.length) <= 86_400_000_000:
            raise BadMaintenance("for must be more than nothing and at most a day")
        if self.zone is not None and self.start is not None:
            raise BadMaintenance("zone goes with at and for; start and until say their zones themselves")
        self._zone()

    def covers(self, at: int) -> bool:
        """Whether a time, in microseconds since 1970, is within the window; its beginning is, its end is not."""
        return self.end(at) is not None

    def end(self, at: int) -> int | None:
        """When the window ends that covers a time, both in microseconds since 1970; None: it does not cover it."""
        moment = _EPOCH + timedelta(microseconds=at)
        ends = [end for begin, end in self._around(moment) if begin <= moment < end]
        return (max(ends) - _EPOCH) // _MICROSECOND if ends else None

    def _around(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Beginnings and ends (UTC) of the windows that may cover a moment."""
        if self.start is not None and self.until is not None:
            yield self.start, self.until
            return
        assert self.at is not None
        assert self.length is not None
        where, begins, length = self._zone(), time.fromisoformat(self.at), timedelta(microseconds=micros(self.length))
        today = moment.astimezone(where).date()
        for back in range(_FURTHEST + 1):
            day = today - timedelta(days=back)
            if not self.days or _DAYS[day.weekday()] in self.days:
                begin = datetime.combine(day, begins, where).astimezone(UTC)
                yield begin, begin + length

    def _zone(self) -> tzinfo:
        return UTC if self.zone is None else zone(self.zone)
