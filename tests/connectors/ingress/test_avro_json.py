"""Avro's JSON encoding, against fastavro's reading of what was written."""

import io
import json
import math
import re
from typing import Any

import fastavro
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connectors.ingress.avro_json import JsonWriter, Misfit
from schemas.codec import BadSchema

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=5)
PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "string": TEXT,
}
Typed = tuple[Any, st.SearchStrategy[tuple[Any, Any]]]
"""A schema, and pairs of a value in Avro's JSON encoding and as fastavro gives it."""


def primitive(name: str) -> Typed:
    return name, PRIMITIVES[name].map(lambda value: (value, value))


def as_bytes() -> Typed:
    return "bytes", st.binary(max_size=5).map(lambda value: (value.decode("latin-1"), value))


def array(inner: Typed) -> Typed:
    pairs = st.lists(inner[1], max_size=3).map(lambda found: ([a for a, _ in found], [b for _, b in found]))
    return {"type": "array", "items": inner[0]}, pairs


def mapping(inner: Typed) -> Typed:
    pairs = st.dictionaries(TEXT, inner[1], max_size=3).map(
        lambda found: ({name: a for name, (a, _) in found.items()}, {name: b for name, (_, b) in found.items()})
    )
    return {"type": "map", "values": inner[0]}, pairs


def nullable(inner: Typed) -> Typed:
    schema, pairs = inner
    if isinstance(schema, list):  # a union holds no union
        return inner
    name = schema if isinstance(schema, str) else schema["type"]
    name = schema["name"] if name == "record" else name
    return ["null", schema], st.none().map(lambda _: (None, None)) | pairs.map(lambda pair: ({name: pair[0]}, pair[1]))


@st.composite
def record(draw: st.DrawFn, inner: st.SearchStrategy[Typed]) -> Typed:
    fields = draw(st.lists(inner, max_size=3))
    name = f"R{draw(st.integers(0, 10**12))}"
    schema = {"type": "record", "name": name, "fields": [{"name": f"f{i}", "type": t} for i, (t, _) in enumerate(fields)]}
    pairs = st.tuples(*(pair for _, pair in fields)).map(
        lambda found: ({f"f{i}": a for i, (a, _) in enumerate(found)}, {f"f{i}": b for i, (_, b) in enumerate(found)})
    )
    return schema, pairs


TYPED = st.recursive(
    st.sampled_from([*map(primitive, PRIMITIVES), as_bytes()]),
    lambda inner: inner.map(array) | inner.map(mapping) | inner.map(nullable) | record(inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(TYPED, st.data())
def test_what_is_written_is_what_was_said(typed: Typed, data: st.DataObject) -> None:
    schema, pairs = typed
    names = re.findall(r'"name": "(R\d+)"', json.dumps(schema))
    assume(len(names) == len(set(names)))  # a name is given once in a schema
    said, expected = data.draw(pairs)
    body = JsonWriter(schema).body(json.loads(json.dumps(said)))
    rest = io.BytesIO(body)
    assert fastavro.schemaless_reader(rest, fastavro.parse_schema(schema), None) == expected
    assert rest.read() == b""


ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
FIXED = {"type": "fixed", "name": "F", "size": 2}
NESTED = {"type": "record", "name": "N", "fields": [{"name": "a", "type": {"type": "array", "items": ["null", "long"]}}]}


@pytest.mark.parametrize(
    ("schema", "value", "place"),
    [
        ("int", 2**31, ""),
        ("int", True, ""),
        ("int", 1.0, ""),
        ("long", -(2**63) - 1, ""),
        ("float", 1e39, ""),
        ("double", 10**400, ""),
        ("double", math.inf, ""),
        ("double", math.nan, ""),
        ("string", 1, ""),
        ("string", "\ud800", ""),
        ("bytes", "\u0100", ""),
        ("boolean", 0, ""),
        ("null", 0, ""),
        (ENUM, "C", ""),
        (FIXED, "abc", ""),
        (["null", "int"], 1, ""),
        (["null", "int"], {"long": 1}, ""),
        (["null", "int"], {"int": 1, "long": 1}, ""),
        (["null", "int"], {"int": "x"}, ".int"),
        (NESTED, {}, ".a"),
        (NESTED, {"a": [], "b": 1}, ".b"),
        (NESTED, {"a": [None, {"long": 1}, {"long": "x"}]}, ".a[2].long"),
        ({"type": "map", "values": "int"}, {"k": "x"}, ".k"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(schema: Any, value: Any, place: str) -> None:
    with pytest.raises(Misfit) as misfit:
        JsonWriter(schema).body(value)
    assert misfit.value.place == place


def test_recursive_types_and_defaults() -> None:
    node = {
        "type": "record",
        "name": "Node",
        "fields": [{"name": "v", "type": "int", "default": 7}, {"name": "next", "type": ["null", "Node"], "default": None}],
    }
    body = JsonWriter(node).body({"next": {"Node": {"v": 1}}})
    read = fastavro.schemaless_reader(io.BytesIO(body), fastavro.parse_schema(node), None)
    assert read == {"v": 7, "next": {"v": 1, "next": None}}


@pytest.mark.parametrize(
    "schema",
    ["nothing", 7, None, {}, {"type": "array"}, {"type": "record"}, {"type": "map", "values": "nothing"}, ["int", ["int"]]],
)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(BadSchema):
        JsonWriter(schema)


def test_a_schema_that_nests_for_ever_is_refused() -> None:
    schema: Any = "int"
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    with pytest.raises(BadSchema):
        JsonWriter(schema)


def nested(levels: int, twice: bool) -> dict[str, Any]:
    """A record in a record, and so on, each the default of its field; the innermost has a default of a byte."""
    schema: dict[str, Any] = {"type": "record", "name": "R0", "fields": [{"name": "n", "type": "int", "default": 1}]}
    for i in range(1, levels + 1):
        fields = [{"name": "a", "type": schema, "default": {}}]
        if twice:
            fields.append({"name": "b", "type": f"R{i - 1}", "default": {}})
        schema = {"type": "record", "name": f"R{i}", "fields": fields}
    return schema


def test_defaults_within_defaults_are_made_once() -> None:
    assert JsonWriter(nested(30, twice=False)).body({}) == b"\2"


def test_defaults_that_grow_without_end_are_refused() -> None:
    with pytest.raises(BadSchema, match="defaults have more than"):
        JsonWriter(nested(30, twice=True))


def test_a_body_that_is_mostly_defaults_has_a_bound() -> None:
    large = {"type": "record", "name": "L", "fields": [{"name": "s", "type": "string", "default": "x" * 900_000}]}
    writer = JsonWriter({"type": "array", "items": large})
    assert len(writer.body([{}] * 10)) > 9_000_000
    with pytest.raises(Misfit, match="bytes in Avro"):
        writer.body([{}] * 100_000)
