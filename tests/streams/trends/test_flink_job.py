"""The trends job as text: paces that it takes, what it hands to Flink, columns that are those of the contract."""

import json
import re

import pytest

from projections.trends import TABLE
from schemas.contract import load
from streams.trends.flink.job import RESULT, Place, Span, backfill, trends
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


def test_a_backfill_ends_with_the_topic_and_writes_the_windows_of_its_span() -> None:
    made = backfill(PLACE, SCHEMA, Span(7_200_000_000, 10_800_000_000))
    source, sink, insert = made.statements[0], made.statements[1], made.statements[-1]
    assert "'scan.bounded.mode' = 'latest-offset'" in source
    assert "'scan.startup.timestamp-millis' = '3600000'" in source  # an hour before
    assert "WATERMARK FOR tick" in source
    assert "'flink-trends-backfill'" in sink  # not to fence the transactions of the job that runs
    assert insert.endswith("WHERE `start` >= 7200000000 AND `end` <= 10800000000")
    whole = backfill(PLACE, SCHEMA, Span(0, 2**53)).statements[0]
    assert "'scan.startup.mode' = 'earliest-offset'" in whole


def test_the_job_that_runs_does_not_end() -> None:
    assert "scan.bounded.mode" not in trends(PLACE, SCHEMA, Pace(), 3).statements[0]
