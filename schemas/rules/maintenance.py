"""Maintenance windows of a rule: times in which its alerts reach nobody."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.rules.durations import DURATION_PATTERN, micros

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class BadMaintenance(ValueError):
    """The window says neither or both of a time and a weekly repetition, or ends before it begins."""


class Maintenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"length": "for"}):
    """Either once, `start` until `until` (RFC 3339 with a zone); or weekly on `days` (none: every day), from `at` (UTC,
    HH:MM) `for` so long, at most a day."""

    start: Annotated[datetime, Meta(tz=True)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None
    days: Annotated[tuple[Day, ...], Meta(max_length=7)] = ()
    at: Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = None
    length: Annotated[str, Meta(pattern=DURATION_PATTERN)] | None = None

    def __post_init__(self) -> None:
        once, weekly = (self.start, self.until), (self.at, self.length)
        if (None in once and None in weekly) or (any(once) and (any(weekly) or self.days)):
            raise BadMaintenance("needs start and until, or at and for")
        if self.start is not None and self.until is not None and self.until <= self.start:
            raise BadMaintenance("until must be after start")
        if self.length is not None and not 0 < micros(self.length) <= 86_400_000_000:
            raise BadMaintenance("for must be more than nothing and at most a day")

    def covers(self, at: int) -> bool:
        """Whether a time, in microseconds since 1970, is within the window; its beginning is, its end is not."""
        moment = _EPOCH + timedelta(microseconds=at)
        if self.start is not None and self.until is not None:
            return self.start <= moment < self.until
        assert self.at is not None
        assert self.length is not None
        hour, minute = map(int, self.at.split(":"))
        for back in (0, 1):
            day = moment - timedelta(days=back)
            begin = day.replace(hour=hour, minute=minute, second=0, microsecond=0)
            if self.days and _DAYS[day.weekday()] not in self.days:
                continue
            if begin <= moment < begin + timedelta(microseconds=micros(self.length)):
                return True
        return False
