"""Timestamps and headers of v3 records, at their bounds."""

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.http.request import Fault
from connectors.ingress.rest_writer import Written
from connectors.ingress.v3_records_answers import Reporter
from connectors.ingress.v3_records_in import (
    LATEST_TIMESTAMP,
    MOST_HEADER_BYTES,
    MOST_HEADERS,
    HeaderIn,
    headers_of,
    milliseconds,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
NO_TIMESTAMPS = [
    "",
    "now",
    "1612552482",
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "2021-02-05",
    "2021-02-05T19:14:42",
    "2021-02-05T19:14:60Z",
    "2021-13-05T19:14:42Z",
    "2021-02-05T25:14:42Z",
    "2021-02-05T19:14:42+99:00",
    "2021-02-05T19:14:42.Z",
    "2021-W05-5T19:14:42Z",
    "\u0662021-02-05T19:14:42Z",
]
TRACE = ("traceparent", b"00-1")


@settings(max_examples=100, deadline=None)
@given(st.integers(1, LATEST_TIMESTAMP), ZONES)
def test_a_timestamp_is_told_as_it_was_given(moment: int, zone: timezone) -> None:
    given_at = EPOCH + timedelta(milliseconds=moment)
    assert milliseconds(given_at.isoformat()) == milliseconds(moment) == moment
    if 2 < given_at.year < 9998:
        assert milliseconds(given_at.astimezone(zone).isoformat()) == moment
    told = Reporter("c", "t").record(Written(0, 0, moment), None, None).timestamp
    assert told is not None
    assert told.endswith("Z")
    assert milliseconds(told) == moment


@pytest.mark.parametrize("given_at", [0, -1, LATEST_TIMESTAMP + 1, 2**63, -(2**63), 10**40, *NO_TIMESTAMPS])
def test_what_is_no_timestamp_is_refused(given_at: int | str) -> None:
    with pytest.raises(Fault) as refused:
        milliseconds(given_at)
    assert refused.value.status == 400
    assert "$.timestamp" in refused.value.detail


def test_fractions_are_cut_to_milliseconds() -> None:
    assert milliseconds("1970-01-01t00:00:01.9999999z") == 1999
    assert milliseconds("1970-01-01 00:00:00.001+00:00") == 1


def test_headers_have_bounds() -> None:
    most = [HeaderIn(f"h{i}", None) for i in range(MOST_HEADERS)]
    assert len(headers_of(most, [TRACE])) == MOST_HEADERS + 1
    with pytest.raises(Fault) as refused:
        headers_of([*most, HeaderIn("one more")], [TRACE])
    assert refused.value.status == 413
    value = base64.b64encode(bytes(MOST_HEADER_BYTES - 1)).decode()
    assert headers_of([HeaderIn("h", value)], [TRACE]) == [("h", bytes(MOST_HEADER_BYTES - 1)), TRACE]
    with pytest.raises(Fault) as refused:
        headers_of([HeaderIn("h", value), HeaderIn("i")], [TRACE])
    assert refused.value.status == 413


@pytest.mark.parametrize("name", ["", "\0", "a\0b"])
def test_a_name_that_the_client_library_would_cut_is_refused(name: str) -> None:
    with pytest.raises(Fault) as refused:
        headers_of([HeaderIn("a", None), HeaderIn(name, None)], [])
    assert "$.headers[1].name" in refused.value.detail
