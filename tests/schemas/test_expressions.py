"""Conditions are checked against what records are, and hold of the rows that they describe."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract import load
from schemas.expressions import BadCondition, Condition, variables

CONTRACT = load()
TELEMETRY = CONTRACT.topics["fleet.telemetry"].records
REGISTRATIONS = CONTRACT.topics["fleet.registration.events"].records


def telemetry(**columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame(columns)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("device_id == 3", "column 11: found no matching overload"),
        ("devise_id == 'a'", "column 1: undeclared reference to 'devise_id'"),
        ("sequence >", "column 11: Syntax error"),
        ("true && sequence > 'a'", "column 18: found no matching overload"),
        ("sequence + 1", "is of type int"),
        ("", "column 1: Syntax error"),
    ],
)
def test_what_does_not_fit_the_records_is_refused_at_its_column(text: str, said: str) -> None:
    with pytest.raises(BadCondition) as refused:
        Condition(text, TELEMETRY)
    assert said in str(refused.value)


def test_the_place_is_shown_below_the_text() -> None:
    with pytest.raises(BadCondition) as refused:
        Condition("device_id == 3", TELEMETRY)
    _, text, mark = str(refused.value).split("\n")
    assert text[mark.index("^")] == "="


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(-5, 5)), max_size=20), st.integers(-5, 5))
def test_a_condition_holds_of_the_rows_that_it_describes(rows: list[tuple[str, int]], least: int) -> None:
    frame = pl.DataFrame(rows, schema={"device_id": pl.String, "sequence": pl.Int64}, orient="row")
    condition = Condition(f"sequence >= {least} && device_id != 'a'", TELEMETRY)
    assert list(condition.holds(frame)) == [number >= least and text != "a" for text, number in rows]
    assert condition.unclear == 0


def test_times_and_nested_records_are_compared() -> None:
    moment = int(datetime(2026, 5, 1, tzinfo=UTC).timestamp() * 1_000_000)
    frame = telemetry(received_at=[moment, moment + 1], readings=[[{"name": "t", "value": 1.5}], []])
    text = "received_at > timestamp('2026-05-01T00:00:00Z') || readings.exists(r, r.value > 1.0)"
    assert list(Condition(text, TELEMETRY).holds(frame)) == [True, True]
    assert list(Condition("size(readings) == 0", TELEMETRY).holds(frame)) == [False, True]
    early = Condition("received_at < timestamp('2026-05-01T00:00:00.000001Z')", TELEMETRY)
    assert list(early.holds(frame)) == [True, False]


def test_positions_and_record_types_are_variables() -> None:
    assert {"kafka_offset", "kafka_partition", "kafka_timestamp", "kafka_key", "record"} <= variables(REGISTRATIONS).keys()
    assert "record" not in variables(TELEMETRY)
    frame = pl.DataFrame({"record": ["DeviceReset", "ClaimSpent"], "kafka_offset": [7, 8], "kafka_key": [b"k", None]})
    assert list(Condition("record == 'DeviceReset' && kafka_offset == 7", REGISTRATIONS).holds(frame)) == [True, False]
    assert list(Condition("kafka_key == null || kafka_key == b'k'", REGISTRATIONS).holds(frame)) == [True, True]


def test_what_a_record_does_not_have_makes_a_condition_unclear() -> None:
    condition = Condition("hardware_id.startsWith('a')", REGISTRATIONS)
    assert list(condition.holds(pl.DataFrame({"hardware_id": ["ab", None]}))) == [True, False]
    assert condition.unclear == 1


@pytest.mark.parametrize("topic", CONTRACT.topics)
def test_every_topic_has_variables_that_compile(topic: str) -> None:
    Condition("kafka_offset >= 0", CONTRACT.topics[topic].records)
