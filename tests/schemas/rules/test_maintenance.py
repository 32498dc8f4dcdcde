"""Maintenance windows by the clocks of a place: what they cover where clocks go forward and back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.rules.maintenance import Maintenance
from schemas.rules.reading import BadRule, read
from schemas.rules.zones import names, zone
from streams.alerts.muting import maintained_until

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RULE = "id: a\ninput: heartbeat\nwhen: 'true'\nmaintenance:\n- {%s}"


def micros(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // MICROSECOND


def window(**fields: Any) -> Maintenance:
    return msgspec.convert(fields, Maintenance)


def stretch(of: Maintenance, day: str) -> list[tuple[str, str]]:
    """The stretches that a window covers of two days from a day on (UTC), by the minute."""
    begin, found = datetime.fromisoformat(f"{day}T00:00:00+00:00"), list[tuple[str, str]]()
    minutes = [begin + timedelta(minutes=minute) for minute in range(2 * 1440)]
    for moment in [moment for moment in minutes if of.covers((moment - EPOCH) // MICROSECOND)]:
        if found and found[-1][1] == f"{moment:%dT%H:%M}":
            found[-1] = found[-1][0], f"{moment + timedelta(minutes=1):%dT%H:%M}"
        else:
            found.append((f"{moment:%dT%H:%M}", f"{moment + timedelta(minutes=1):%dT%H:%M}"))
    return found


@pytest.mark.parametrize(
    ("day", "at", "expected"),
    [
        ("2026-01-10", "02:30", [("10T01:30", "10T03:30"), ("11T01:30", "11T03:30")]),  # winter: an hour ahead of UTC
        ("2026-07-10", "02:30", [("10T00:30", "10T02:30"), ("11T00:30", "11T02:30")]),  # summer: two
        # The clocks go from 02:00 to 03:00 on the 29th: 02:30 is not shown, and begins at 03:30 as it is shown then.
        ("2026-03-28", "02:30", [("28T01:30", "28T03:30"), ("29T01:30", "29T03:30")]),
        # Two hours, whatever clocks show meanwhile.
        ("2026-03-29", "01:30", [("29T00:30", "29T02:30"), ("29T23:30", "30T01:30"), ("30T23:30", "31T00:00")]),
        # They go from 03:00 back to 02:00 on the 25th of October: the first 02:30 counts.
        ("2026-10-25", "02:30", [("25T00:30", "25T02:30"), ("26T01:30", "26T03:30")]),
    ],
)
def test_a_window_goes_by_the_clocks_of_its_place(day: str, at: str, expected: list[tuple[str, str]]) -> None:
    assert stretch(window(at=at, zone="Europe/Berlin", **{"for": "2h"}), day) == expected


def test_days_are_those_of_the_place() -> None:
    sunday = window(days=["sun"], at="01:00", zone="Pacific/Auckland", **{"for": "1h"})  # 12:00 UTC on Saturday
    assert sunday.covers(micros("2026-07-11T13:00:00+00:00"))
    assert not sunday.covers(micros("2026-07-12T13:00:00+00:00"))


def test_a_day_long_window_reaches_over_a_day_of_23_hours() -> None:
    late = window(days=["sat"], at="23:59", zone="Europe/Berlin", **{"for": "1d"})
    assert late.end(micros("2026-03-29T22:58:00+00:00")) == micros("2026-03-29T22:59:00+00:00")
    assert late.end(micros("2026-03-29T22:59:00+00:00")) is None


def test_a_date_that_a_place_left_out() -> None:
    """Samoa had no 30th of December 2011: that day's window begins when the clock of the 29th would have shown it."""
    friday = window(days=["fri"], at="10:00", zone="Pacific/Apia", **{"for": "1h"})
    assert friday.covers(micros("2011-12-30T20:30:00+00:00"))


def test_a_window_ends_where_it_ends_when_the_next_is_near() -> None:
    daily = window(at="00:00", **{"for": "20h"})
    at = micros("2026-01-10T16:00:00+00:00")
    assert maintained_until([daily], at) == micros("2026-01-10T20:00:00+00:00")


@given(
    st.sampled_from(sorted(names())),
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 28), timezones=st.just(UTC)),
    st.integers(0, 1439),
    st.integers(1, 1440),
)
@example("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC), 150, 60)
@example("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC), 115, 1440)
@example("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC), 0, 1440)
def test_a_window_begins_once_each_day_and_lasts_for_its_time(place: str, moment: datetime, at: int, minutes: int) -> None:
    """Wherever and whenever: it covers a moment if, and only if, it began less than its length before."""
    daily = window(at=f"{at // 60:02}:{at % 60:02}", zone=place, **{"for": f"{minutes}m"})
    length, now = timedelta(minutes=minutes), (moment - EPOCH) // MICROSECOND
    begins = []
    for back in range(-2, 4):
        day = moment.astimezone(zone(place)).replace(tzinfo=None) - timedelta(days=back)
        begins.append(
            day.replace(hour=at // 60, minute=at % 60, second=0, microsecond=0, tzinfo=zone(place)).astimezone(UTC)
        )
    latest = [begin for begin in begins if begin <= moment < begin + length]
    assert daily.covers(now) == bool(latest)
    end = daily.end(now)
    assert end == ((max(latest) + length - EPOCH) // MICROSECOND if latest else None)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            "at: '02:00', for: 1h, zone: Europe/Berln",
            "maintenance.0: zone: 'Europe/Berln' is no IANA time zone; is Europe/Berlin meant?",
        ),
        ("at: '02:00', for: 1h, zone: qqqq", "zone: 'qqqq' is no IANA time zone, such as Europe/Berlin"),
        ("at: '02:00', for: 1h, zone: ../../etc/passwd", "is no IANA time zone"),
        ("at: '02:00', for: 1h, zone: ''", "maintenance.0.zone"),
        (
            "start: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z', zone: UTC",
            "zone goes with at and for; start and until say their zones themselves",
        ),
    ],
)
def test_a_zone_that_is_none_is_refused_with_its_place(fields: str, said: str) -> None:
    with pytest.raises(BadRule) as refused:
        read(RULE % fields)
    assert said in str(refused.value)
    assert "line 5" in str(refused.value)


def test_every_zone_can_be_had() -> None:
    assert len(names()) > 400
    for name in names():
        zone(name)
