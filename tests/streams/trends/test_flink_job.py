"""The trends job as text: paces that it takes, what it hands to Flink, columns that are those of the contract."""

import json
import re

import pytest

from projections.trends import TABLE
from schemas.contract import load
from streams.trends.flink.job import RESULT, Place, trends
from streams.trends.flink.sql import MINUTE, TRENDS_COLUMNS, Pace, interval

SCHEMA = load().records["TrendComputed"].schema
PLACE = Place("broker:9092", "http://registry:8081")


def columns() -> dict[str, str]:
    """Of the sink: name -> type, without NOT NULL."""
    return dict(re.findall(r"`?(\w+)`? (STRING|BIGINT|DOUBLE)", TRENDS_COLUMNS))


def test_the_columns_are_the_fields_of_the_contract_in_their_order() -> None:
    types = {"string": "STRING", "long": "BIGINT"}
    fields = {field["name"]: types.get(str(field["type"]), "DOUBLE") for field in SCHEMA["fields"]}
    assert list(columns().items()) == list(fields.items())
    assert re.findall(r"`?(\w+)`?,?\s", RESULT.removeprefix("SELECT").rpartition("FROM")[0]) == list(fields)


def test_a_column_may_be_null_where_its_field_may() -> None:
    never = set(re.findall(r"`?(\w+)`? \w+ NOT NULL", TRENDS_COLUMNS))
    assert never == {field["name"] for field in SCHEMA["fields"] if isinstance(field["type"], str)}


def test_the_view_has_every_field() -> None:
    assert set(TABLE.names) - {"topic", "partition", "offset"} == columns().keys() - {"received_at"} | {"known_at"}


@pytest.mark.parametrize("period", [0, -60, 601, 3600])
def test_a_period_that_is_none_is_refused(period: int) -> None:
    with pytest.raises(ValueError, match=str(period)):
        Pace(period)


def test_intervals_are_of_a_precision_that_flink_keeps() -> None:
    assert [interval(seconds) for seconds in (5, 60, 100, 3000)] == [
        "INTERVAL '0:05' MINUTE TO SECOND",
        "INTERVAL '1:00' MINUTE TO SECOND",
        "INTERVAL '1:40' MINUTE TO SECOND",
        "INTERVAL '50:00' MINUTE TO SECOND",
    ]


def test_what_is_handed_to_flink() -> None:
    job = trends(PLACE, SCHEMA, Pace(60), state_hours=0.5)
    told = json.loads(job.text())
    source, sink, *views, insert = told["statements"]
    assert "'topic' = 'fleet.telemetry'" in source
    assert "tick AS PROCTIME()" in source
    assert "'sink.delivery-guarantee' = 'exactly-once'" in sink
    (schema,) = re.findall(r"'value\.avro-confluent\.schema' = '((?:[^']|'')*)'", sink)
    assert json.loads(schema.replace("''", "'")) == SCHEMA
    assert all(view.startswith("CREATE TEMPORARY VIEW") for view in views)
    assert insert.startswith("INSERT INTO trends SELECT")
    assert told["configuration"]["table.exec.state.ttl"] == "1800 s"
    assert f"MOD(moment, {MINUTE})" in views[0]


def test_a_bounded_job_ends_with_the_topic() -> None:
    bounded = trends(Place("b:1", "http://registry:1", bounded=True), SCHEMA, Pace(), 3)
    endless = trends(PLACE, SCHEMA, Pace(), 3)
    assert "'scan.bounded.mode' = 'latest-offset'" in bounded.statements[0]
    assert "scan.bounded.mode" not in endless.statements[0]
    assert "WATERMARK FOR tick" in bounded.statements[0]
