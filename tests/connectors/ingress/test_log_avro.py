"""Pages as Avro files: what fastavro and polars read is what the log holds."""

import io
import json
from collections.abc import Sequence
from typing import Any

import fastavro
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.ingress.log_avro import avro_page
from connectors.ingress.log_avro_values import ReadableReader
from connectors.ingress.log_values import Readers
from connectors.pages import LogRecord, Page
from schemas.codec import encode
from schemas.contract import load
from schemas.log import TopicPartition
from schemas.shape import shape_of
from schemas.wire import prefix
from tests.schemas.records import within

SOURCE = TopicPartition("topic", 3)
CONTRACT = load()
TELEMETRY = CONTRACT.records["TelemetryReceived"]


def page_of(records: Sequence[bytes | None], start: int = 0, key: bytes | None = b"k") -> Page:
    headers = [("a", b"\xff"), ("b", None)]
    made = [LogRecord(start + i, 1_777_636_800_000 + i, False, key, value, headers) for i, value in enumerate(records)]
    return Page(start, made, start + len(made), False, 0, start + len(made))


def written(schema: Any, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def values_of(file: bytes) -> list[Any]:
    return [record["value"] for record in fastavro.reader(io.BytesIO(file))]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_records_of_the_contract_come_back_whole(data: st.DataObject) -> None:
    record = CONTRACT.records[data.draw(st.sampled_from(sorted(CONTRACT.records)))]
    rows = data.draw(st.lists(st.none() | within(shape_of(record.schema)), min_size=1, max_size=5))
    bodies = [None if row is None else prefix(7) + encode(record, row) for row in rows]
    kept, file = avro_page(SOURCE, page_of(bodies, 5), {7: ReadableReader(record.schema)})
    reader = fastavro.reader(io.BytesIO(file))
    found = list(reader)
    assert len(kept.records) == len(found) == len(rows)
    assert [one["offset"] for one in found] == list(range(5, 5 + len(rows)))
    decoded = [None if body is None else body[5:] for body in bodies]
    again = [None if one["value"] is None else written(record.schema, one["value"]) for one in found]
    assert again == decoded
    if '"enum"' in json.dumps(record.schema):
        return  # polars reads no enum within a record (1.x: it panics); other clients do
    frame = pl.read_avro(io.BytesIO(file))
    assert frame["offset"].to_list() == list(range(5, 5 + len(rows)))
    assert frame["key"].to_list() == [b"k"] * len(rows)
    assert frame["value"].is_null().to_list() == [row is None for row in rows]


def test_the_file_says_what_it_is() -> None:
    _, file = avro_page(SOURCE, page_of([b"\xff", None]), {})
    reader = fastavro.reader(io.BytesIO(file))
    about = {name: value for name, value in reader.metadata.items() if name.startswith("fleetlog")}
    assert about == {"fleetlog.topic": "topic", "fleetlog.partition": "3", "fleetlog.next": "2"}
    first, second = list(reader)
    assert (first["value"], second["value"], first["schema_id"], first["error"]) == (b"\xff", None, None, None)
    assert first["headers"] == [{"name": "a", "value": b"\xff"}, {"name": "b", "value": None}]
    assert (first["timestamp"].isoformat(), first["timestamp_type"]) == ("2026-05-01T12:00:00+00:00", "create")


READERS: Readers = {
    1: ReadableReader({"type": "string"}),
    2: ReadableReader({"type": ["int", "string"]}),
    3: ReadableReader({"type": ["null", "int"]}),
    4: ReadableReader({"type": "null"}),
    5: ReadableReader({"type": "record", "name": "LogRecord", "fields": []}),
    6: "there is none",
    7: ReadableReader({"type": "record", "name": "W", "fields": [{"name": "a", "type": "int"}]}),
    8: ReadableReader({"type": "record", "name": "W", "namespace": "n", "fields": [{"name": "b", "type": "int"}]}),
}


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        ([prefix(1) + b"\x02a", None], ["a", None]),
        ([prefix(2) + b"\x00\x04", None, prefix(2) + b"\x02\x02a"], [2, None, "a"]),
        ([None, prefix(3) + b"\x02\x04", prefix(3) + b"\x00", None], [None, 2, None, None]),
        ([prefix(4), b"x"], [prefix(4), b"x"]),
        ([prefix(5)], [prefix(5)]),
        ([prefix(6) + b"a", b""], [prefix(6) + b"a", b""]),
        ([prefix(7) + b"\x02", prefix(8) + b"\x02"], [{"a": 1}]),
        ([prefix(7) + b"\x02", prefix(7) + b"\x02\x00"], [{"a": 1}]),
        ([prefix(7), prefix(7) + b"\x02"], [prefix(7)]),
        ([None, None, b"x", prefix(7) + b"\x02"], [None, None, b"x"]),
        ([None, None, prefix(7) + b"\x02", b"x"], [None, None, {"a": 1}]),
        ([], []),
        ([None], [None]),
    ],
)
def test_a_page_ends_where_the_schema_changes(bodies: list[bytes | None], expected: list[Any]) -> None:
    page = page_of(bodies)
    kept, file = avro_page(SOURCE, page, READERS)
    assert values_of(file) == expected
    if len(expected) < len(bodies):
        assert (kept.full, kept.following) == (True, len(expected))
    else:
        assert kept == page
    if not bodies or bodies[0] != prefix(2) + b"\x00\x04":  # polars reads no union of two types beside null
        assert pl.read_avro(io.BytesIO(file)).height == len(expected)


def test_what_can_not_be_decoded_says_why() -> None:
    bodies = [prefix(6) + b"a", prefix(7), prefix(5), b"x"]
    _, file = avro_page(SOURCE, page_of(bodies), READERS)
    errors = [record["error"] for record in fastavro.reader(io.BytesIO(file))]
    assert errors[0] == "there is none"
    assert "the bytes end" in errors[1]
    assert "does not fit" in errors[2]
    assert errors[3] is None


def test_without_readers_all_values_are_bytes() -> None:
    bodies = [prefix(7) + b"\x02", b"x", prefix(2**32 - 1)]
    kept, file = avro_page(SOURCE, page_of(bodies), None)
    assert values_of(file) == bodies
    assert [record["schema_id"] for record in fastavro.reader(io.BytesIO(file))] == [7, None, 2**32 - 1]
    assert len(kept.records) == 3


def test_a_file_of_many_blocks() -> None:
    bodies: list[bytes | None] = [prefix(7) + b"\x02"] * 1234
    _, file = avro_page(SOURCE, page_of(bodies), READERS)
    assert values_of(file) == [{"a": 1}] * 1234
    assert avro_page(SOURCE, page_of(bodies), READERS)[1] == file
