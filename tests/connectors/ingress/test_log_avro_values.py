"""Avro values in plain JSON: logical types, and what can't be said in JSON."""

import io
import json
import math
from typing import Any

import fastavro
import pytest

from connectors.ingress.log_avro_values import ReadableReader
from schemas.avro_reader import BadSchema, Undecodable
from schemas.avro_writer import long_bytes
from schemas.codec import parsed

DAY = 86_400


def shown(schema: Any, value: Any) -> Any:
    """A value of a schema without its logical types, written by fastavro and read as JSON."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parsed(schema), value)
    return json.loads(ReadableReader(schema).json(out.getvalue()))


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (logical("int", "date"), 20_574, "2026-05-01"),
        (logical("int", "date"), -1, "1969-12-31"),
        (logical("int", "date"), 2_932_897, 2_932_897),
        (logical("int", "time-millis"), 43_200_001, "12:00:00.001"),
        (logical("int", "time-millis"), DAY * 1000, DAY * 1000),
        (logical("long", "time-micros"), DAY * 10**6 - 1, "23:59:59.999999"),
        (logical("long", "time-micros"), -1, -1),
        (logical("long", "timestamp-millis"), 1_777_636_800_123, "2026-05-01T12:00:00.123Z"),
        (logical("long", "timestamp-micros"), -1, "1969-12-31T23:59:59.999999Z"),
        (logical("long", "timestamp-micros"), 2**63 - 1, 2**63 - 1),
        (logical("long", "timestamp-nanos"), 1_777_636_800_000_000_001, "2026-05-01T12:00:00.000000001Z"),
        (logical("long", "local-timestamp-micros"), 0, "1970-01-01T00:00:00.000000"),
        (logical("string", "uuid"), "6b1f", "6b1f"),
        (logical("bytes", "decimal", precision=9, scale=2), b"\xff\x85", "-1.23"),
        (logical("bytes", "decimal", precision=9, scale=2), b"\x05", "0.05"),
        (logical("bytes", "decimal", precision=9), b"\x01\x00", "256"),
        (logical("bytes", "decimal", precision=999, scale=2), b"\x01" * 200, None),
        (logical("bytes", "decimal", precision=2, scale=-1), b"\x01", "AQ=="),
        (logical("int", "timestamp-millis"), 5, 5),
        (logical("long", "nothing-known"), 5, 5),
        ({"type": "long", "logicalType": ["timestamp-millis"]}, 5, 5),
        (
            {"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 1},
            b"\x00\x0f",
            "1.5",
        ),
        ({"type": "fixed", "name": "F", "size": 2}, b"\xff\x00", "/wA="),
        ("bytes", b"\xff", "/w=="),
        ("double", math.nan, "NaN"),
        ("double", -math.inf, "-Infinity"),
        ("float", math.inf, "Infinity"),
        ("double", 0.1, 0.1),
        ("long", 2**63 - 1, 2**63 - 1),
        ("null", None, None),
        ({"type": "map", "values": "double"}, {"a": math.nan}, {"a": "NaN"}),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        (["null", "long", logical("long", "timestamp-millis")][:2], 5, 5),
    ],
    ids=str,
)
def test_a_value(schema: Any, value: Any, expected: Any) -> None:
    found = shown(schema, value)
    assert found == expected or (expected is None and isinstance(found, str) == (value is not None))


def test_a_union_is_told_by_its_branch() -> None:
    """The same number, as a date and as a plain one."""
    schema = [logical("int", "date"), "long"]
    read = ReadableReader(schema)
    assert json.loads(read.json(b"\x00\x02")) == "1970-01-02"
    assert json.loads(read.json(b"\x02\x02")) == 1


def test_a_named_type_is_the_same_wherever_it_is_used() -> None:
    money = {"type": "fixed", "name": "Money", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 1}
    fields = [{"name": "a", "type": money}, {"name": "b", "type": "Money"}]
    assert shown({"type": "record", "name": "R", "fields": fields}, {"a": b"\x00\x0f", "b": b"\x00\x10"}) == {
        "a": "1.5",
        "b": "1.6",
    }


NODE = {
    "type": "record",
    "name": "Node",
    "fields": [{"name": "value", "type": "int"}, {"name": "next", "type": ["null", "Node"]}],
}


def test_a_recursive_type_is_read_as_deep_as_can_be() -> None:
    read = ReadableReader(NODE)
    assert json.loads(read.json(b"\x02\x02\x04\x00")) == {"value": 1, "next": {"value": 2, "next": None}}
    assert read.json(b"\x02\x02" * 100 + b"\x02\x00").count(b"{") == 101
    with pytest.raises(Undecodable, match="nested too deeply"):
        read.json(b"\x02\x02" * 100_000 + b"\x02\x00")


@pytest.mark.parametrize("body", [b"", b"\x02", b"\x02\x04", b"\x02\x00\x00"])
def test_what_is_no_value_is_refused(body: bytes) -> None:
    read = ReadableReader(NODE)
    for method in (read.json, read.check):
        with pytest.raises(Undecodable):
            method(body)


@pytest.mark.parametrize("schema", [{"type": "unheard-of"}, {"type": "record"}, {"type": "array", "items": "null"}, {}])
def test_a_schema_that_is_none_is_refused(schema: Any) -> None:
    with pytest.raises(BadSchema):
        ReadableReader(schema)


def test_a_schema_nested_a_thousand_deep_is_refused_or_read() -> None:
    schema: Any = "int"
    for _ in range(1_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(BadSchema):
        ReadableReader(schema)


@pytest.mark.parametrize(
    "items",
    [
        {"type": "record", "name": "R", "fields": [{"name": "n" * 50_000, "type": "boolean"}]},
        {"type": "enum", "name": "E", "symbols": ["A", "B" * 50_000]},
        {"type": "array", "items": {"type": "record", "name": "R", "fields": [{"name": "n" * 50_000, "type": "null"}]}},
    ],
    ids=["name", "symbol", "empty"],
)
def test_a_value_that_is_endless_in_json_is_refused(items: Any) -> None:
    count = 400_000
    body = long_bytes(count) + (b"\2" if items["type"] == "enum" else b"\1") * count + b"\0"
    with pytest.raises((Undecodable, BadSchema), match=r"in JSON|no bytes"):
        ReadableReader({"type": "array", "items": items}).json(body)


def test_a_large_value_is_told_as_it_is() -> None:
    schema = {"type": "array", "items": {"type": "record", "name": "R", "fields": [{"name": "n" * 50, "type": "boolean"}]}}
    body = long_bytes(100_000) + b"\1" * 100_000 + b"\0"
    assert json.loads(ReadableReader(schema).json(body)) == [{"n" * 50: True}] * 100_000
