"""Conditions are checked against what records are, and hold of the rows that they describe."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract import RecordType, load
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
        ("readings.exists(r, r.valeu > 1.0)", "column 21: undefined field 'valeu'"),
        (
            "readings.exists(r, r.metric > 1.0)",
            "column 29: found no matching overload for '_>_' applied to '(string, double)'",
        ),
        ("readings[0].unit == 1", "column 18: found no matching overload for '_==_' applied to '(wrapper(string), int)'"),
        ("readings.exists(r, r.at > 0)", "column 25: found no matching overload"),
        ("readings.value > 1.0", "column 9: expression of type 'list(record.Reading)'"),
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
    frame = telemetry(received_at=[moment, moment + 1], readings=[[{"metric": "t", "value": 1.5, "at": moment - 1}], []])
    text = "received_at > timestamp('2026-05-01T00:00:00Z') || readings.exists(r, r.value > 1.0)"
    assert list(Condition(text, TELEMETRY).holds(frame)) == [True, True]
    assert list(Condition("size(readings) == 0", TELEMETRY).holds(frame)) == [False, True]
    late = Condition("readings.exists(r, r.at < received_at && r.at.getFullYear() == 2026)", TELEMETRY)
    assert (list(late.holds(frame)), late.unclear) == ([True, False], 0)
    early = Condition("received_at < timestamp('2026-05-01T00:00:00.000001Z')", TELEMETRY)
    assert list(early.holds(frame)) == [True, False]


def test_positions_and_record_types_are_variables() -> None:
    assert {"kafka_offset", "kafka_partition", "kafka_timestamp", "kafka_key", "record"} <= variables(REGISTRATIONS).keys()
    assert "record" not in variables(TELEMETRY)
    frame = pl.DataFrame({"record": ["DeviceReset", "ClaimSpent"], "kafka_offset": [7, 8], "kafka_key": [b"k", None]})
    assert list(Condition("record == 'DeviceReset' && kafka_offset == 7", REGISTRATIONS).holds(frame)) == [True, False]
    assert list(Condition("kafka_key == null || kafka_key == b'k'", REGISTRATIONS).holds(frame)) == [True, True]


NESTED: dict[str, object] = {
    "type": "record",
    "name": "Outer",
    "namespace": "test",
    "fields": [
        {"name": "grid", "type": {"type": "array", "items": {"type": "array", "items": "long"}}},
        {"name": "inner", "type": ["null", {"type": "record", "name": "Inner", "fields": [
            {"name": "grid", "type": {"type": "array", "items": {"type": "array", "items": "long"}}},
            {"name": "seen", "type": {"type": "array", "items": {"type": "long", "logicalType": "timestamp-micros"}}},
            {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["ON", "OFF"]}},
            {"name": "deep", "type": {"type": "record", "name": "Deep", "fields": [
                {"name": "raw", "type": ["null", "bytes"]}]}},
        ]}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grid[0][0] == 'a'", "column 12"),
        ("inner.state > 3", "column 13: found no matching overload for '_>_' applied to '(string, int)'"),
        ("inner.seen.exists(t, t > 3)", "column 24: found no matching overload"),
        ("inner.deep.raw == 'a'", "column 16: found no matching overload for '_==_' applied to '(wrapper(bytes), string)'"),
        ("inner.deep.row == b'a'", "column 11: undefined field 'row'"),
    ],
)
def test_fields_are_checked_however_deep_they_are(text: str, said: str) -> None:
    with pytest.raises(BadCondition) as refused:
        Condition(text, [RecordType("Outer", "test", NESTED)])
    assert said in str(refused.value)


def test_values_are_compared_however_deep_they_are() -> None:
    inner = {"grid": [[1]], "seen": [5, None], "state": "ON", "deep": {"raw": b"r"}}
    rows = pl.DataFrame({"inner": [inner, None], "grid": [[[1, 2]], [[3]]]})
    for text in (
        "inner != null && inner.deep.raw == b'r' && inner.state == 'ON'",
        "inner != null && inner.seen.exists(t, t != null && t > timestamp(0))",
        "grid[0].exists(n, n == 2)",
    ):
        condition = Condition(text, [RecordType("Outer", "test", NESTED)])
        assert (list(condition.holds(rows)), condition.unclear) == ([True, False], 0)


def test_what_a_record_does_not_have_makes_a_condition_unclear() -> None:
    condition = Condition("hardware_id.startsWith('a')", REGISTRATIONS)
    assert list(condition.holds(pl.DataFrame({"hardware_id": ["ab", None]}))) == [True, False]
    assert condition.unclear == 1


@pytest.mark.parametrize("topic", CONTRACT.topics)
def test_every_topic_has_variables_that_compile(topic: str) -> None:
    Condition("kafka_offset >= 0", CONTRACT.topics[topic].records)
