"""Schemas whose values take no bytes, and so could be endless many."""

from typing import Any

import pytest

from schemas.avro_empties import MOST, MOST_REPEATED
from schemas.avro_reader import BadSchema, compile_reader
from schemas.codec import Decoder

INT = {"name": "n", "type": "int"}


def record(name: str, *types: Any, **more: Any) -> dict[str, Any]:
    fields = [{"name": f"f{i}", "type": kind} for i, kind in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields, **more}


def doubling(times: int, *inner: Any) -> dict[str, Any]:
    """A record of two records of two records …"""
    made = record("E0", *inner)
    for i in range(1, times + 1):
        made = record(f"E{i}", made, f"E{i - 1}")
    return made


ITSELF = record("R", "int", doubling(6), ["null", "R"])


@pytest.mark.parametrize(
    "schema",
    [
        doubling(60),
        doubling(60, "null"),
        doubling(60, {"type": "fixed", "name": "F", "size": 0}),
        record("A", "int", doubling(60)),
        ["null", doubling(60)],
        {"type": "array", "items": doubling(60)},
        {"type": "array", "items": record("A", "int", doubling(6))},
        {"type": "array", "items": ["null", doubling(6)]},
        {"type": "map", "values": doubling(6)},
        {"type": "array", "items": "null"},
        record("A", *["null"] * (MOST + 1)),
        ITSELF,
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_a_schema_that_makes_much_of_nothing_is_refused(schema: Any) -> None:
    with pytest.raises(BadSchema):
        compile_reader(schema)
    with pytest.raises(BadSchema):
        Decoder(schema, record("Other", ["null", "int"]))


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (record("A"), b""),
        (doubling(5), b""),
        (record("A", *["null"] * (MOST - 1)), b""),
        (record("A", *[["null", "int"]] * 5_000), b"\0" * 5_000),
        ({"type": "array", "items": record("A", "int", *["null"] * MOST_REPEATED)}, b"\4\2\4\0"),
        ({"type": "map", "values": "null"}, b"\2\2a\0"),
        (record("R", "int", ["null", "R"]), b"\2\2\4\0"),
        (record("P", record("E", "null"), ["null", {"type": "array", "items": ["null", "P"]}]), b"\2\2\0\0"),
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_a_little_of_nothing_is_read(schema: Any, body: bytes) -> None:
    compile_reader(schema)(body)
