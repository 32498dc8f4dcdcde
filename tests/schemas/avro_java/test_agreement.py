"""Our decisions and our reading are those of Apache Avro's Java implementation, on random pairs of schemas.

Where we differ on purpose, or Java does by accident, is said here, each with its own test; nothing else may differ.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import Decoder, Undecodable, named
from schemas.compatibility import incompatibilities
from tests.schemas.avro_java.oracle import JavaAvro, java_avro, tagged
from tests.schemas.avro_java.pairs import pair
from tests.schemas.avro_java.types import Random, Type, body, written

PAIRS_OF_A_SEED = 100
BODIES = 3
NOT_UTF8 = "bytes read as a string are not UTF-8"
MISJUDGED_LENGTH = "java.io.EOFException: Collection claims"
FULL_NAME_IN_A_UNION = re.compile(r"AvroTypeException: (Found [\w.]+, expecting |No match for \w)")


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaAvro]:
    with java_avro(tmp_path_factory.mktemp("oracle")) as oracle:
        yield oracle


def agrees(java: JavaAvro, reader: Type, writer: Type, draw: Random) -> str:
    """Ask both; returns what they agreed on."""
    new, old = written(reader), written(writer)
    bodies = [body(writer, draw) for _ in range(BODIES)]
    answer = java.ask(new, old, bodies)
    assert "bad" not in answer, answer
    by_specification = incompatibilities(named(new), named(old), logical_types=False)
    assert (not by_specification) == answer["compatible"], (by_specification, answer["why"], new, old)
    strict = incompatibilities(named(new), named(old))
    if by_specification:
        assert strict
        return "incompatible"
    decoder = Decoder(old, new)
    for one, value in zip(bodies, answer["values"], strict=True):
        _same_value(decoder, one, value, (new, old))
    return "logical type changed" if strict else "compatible"


def _same_value(decoder: Decoder, one: bytes, value: Any, schemas: Any) -> None:
    if "\ufffd" in str(value):
        with pytest.raises(Undecodable, match=NOT_UTF8):
            decoder.decode(one)
        return
    ours = tagged(decoder.decode(one))
    error = value.get("error", "") if isinstance(value, dict) else ""
    if error.startswith(MISJUDGED_LENGTH) or FULL_NAME_IN_A_UNION.search(error):
        return
    assert ours == value, (schemas, one.hex())


@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_thousands_of_pairs(java: JavaAvro, seed: int) -> None:
    draw = random.Random(seed)
    found = Counter(agrees(java, *pair(draw), draw) for _ in range(PAIRS_OF_A_SEED))
    assert found["compatible"] > PAIRS_OF_A_SEED / 5  # neither answer is the only one
    assert found["incompatible"] > PAIRS_OF_A_SEED / 25


@given(draw=st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_pairs_that_shrink(java: JavaAvro, draw: random.Random) -> None:
    agrees(java, *pair(draw), draw)


def record(*fields: Any, name: str = "a.R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


MICROS, MILLIS = ({"type": "long", "logicalType": f"timestamp-{unit}"} for unit in ("micros", "millis"))


def decimal(scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale}


@pytest.mark.parametrize(
    ("new", "old"),
    [(MICROS, MILLIS), (MICROS, "long"), ("long", MICROS), (["null", MICROS], ["null", "long"]), (decimal(2), decimal(3))],
)
def test_a_changed_logical_type_is_refused_where_java_lets_it_pass(java: JavaAvro, new: Any, old: Any) -> None:
    reader, writer = record(field("at", new)), record(field("at", old))
    assert java.ask(reader, writer)["compatible"]
    assert incompatibilities(named(reader), named(writer), logical_types=False) == []
    assert [fault.path for fault in incompatibilities(named(reader), named(writer))] == ["at"]


def test_bytes_that_are_no_text_are_refused_where_java_replaces_them(java: JavaAvro) -> None:
    answer = java.ask("string", "bytes", [b"\x02\xff"])
    assert answer["values"] == [{"s": "\ufffd"}]
    with pytest.raises(Undecodable, match=NOT_UTF8):
        Decoder({"type": "bytes"}, {"type": "string"}).decode(b"\x02\xff")


def test_java_1_12_can_not_read_what_it_finds_compatible_where_items_grow(java: JavaAvro) -> None:
    """It compares the bytes that are left with the size of the reader's items, not of those that were written."""
    reader, writer = {"type": "array", "items": "double"}, {"type": "array", "items": "int"}
    answer = java.ask(reader, writer, [b"\x02\x02\x00"])
    assert answer["compatible"]
    assert answer["values"][0]["error"].startswith(MISJUDGED_LENGTH)
    assert Decoder(writer, reader).decode(b"\x02\x02\x00") == [1.0]


def test_java_insists_on_the_branch_of_the_full_name_that_it_can_not_read(java: JavaAvro) -> None:
    """It finds the pair compatible by the other branch."""

    def fixed(name: str, size: int) -> dict[str, Any]:
        return {"type": "fixed", "name": name, "size": size}

    reader, writer = [fixed("a.F", 3), fixed("b.F", 2)], fixed("a.F", 2)
    answer = java.ask(reader, writer, [b"\1\2"])
    assert answer["compatible"]
    assert FULL_NAME_IN_A_UNION.search(answer["values"][0]["error"])
    assert Decoder(writer, reader).decode(b"\1\2") == b"\1\2"  # type: ignore[arg-type,comparison-overlap]


def test_java_can_not_read_an_enum_s_new_namespace_within_a_union(java: JavaAvro) -> None:
    """By the specification the name without its namespace decides; so Java says of the pair, and reads otherwise."""
    writer = {"type": "enum", "name": "a.E", "symbols": ["X"]}
    reader = ["null", {**writer, "name": "b.E"}]
    answer = java.ask(reader, writer, [b"\0"])
    assert answer["compatible"]
    assert FULL_NAME_IN_A_UNION.search(answer["values"][0]["error"])
    assert Decoder(writer, reader).decode(b"\0") == "X"  # type: ignore[arg-type]


def test_java_insists_on_the_enum_of_the_full_name_that_lacks_the_symbol(java: JavaAvro) -> None:
    """As above: by the specification the other branch reads it."""
    writer = {"type": "enum", "name": "a.E", "symbols": ["RED"]}
    reader = [{**writer, "symbols": ["X"]}, {**writer, "name": "b.E"}]
    answer = java.ask(reader, writer, [b"\0"])
    assert answer["compatible"]
    assert FULL_NAME_IN_A_UNION.search(answer["values"][0]["error"])
    assert Decoder(writer, reader).decode(b"\0") == "RED"  # type: ignore[arg-type]


def test_java_forgets_a_field_s_alias_where_the_record_s_namespace_changed(java: JavaAvro) -> None:
    """It finds the pair compatible by the alias, and reads the default all the same."""
    reader = record(field("new", "int", aliases=["old"], default=7), name="b.R")
    writer = record(field("old", "int"))
    answer = java.ask(reader, writer, [b"\x02"])
    assert answer["compatible"]
    assert answer["values"] == [{"m": {"new": {"i": "7"}}}]
    assert Decoder(writer, reader).decode(b"\x02") == {"new": 1}


def test_a_field_that_is_two_of_the_writer_s_is_refused(java: JavaAvro) -> None:
    reader = record(field("new", "int", aliases=["one", "two"]))
    writer = record(field("one", "int"), field("two", "int"))
    assert not java.ask(reader, writer)["compatible"]
    (fault,) = incompatibilities(named(reader), named(writer))
    assert (fault.path, fault.message) == ("new", "is one and two of the writer, by its aliases")
    with pytest.raises(Undecodable, match="one and two"):
        Decoder(writer, reader).decode(b"\x02\x04")


def test_time_is_bounded_by_the_schemas_size_not_by_the_number_of_ways_through_them() -> None:
    """Java lists a fault once for each of the 2^40 ways to it."""

    def ladder(leaf: str) -> Any:
        inner: Any = leaf
        for rung in range(40):
            name = f"a.R{rung}"
            inner = record(field("l", inner), field("r", inner if rung == 0 else f"a.R{rung - 1}"), name=name)
        return inner

    faults = incompatibilities(named(ladder("int")), named(ladder("string")))
    assert 0 < len(faults) < 200
    assert incompatibilities(named(ladder("long")), named(ladder("int"))) == []


def test_a_type_within_itself_is_decided_by_all_of_it(java: JavaAvro) -> None:
    """The union's branch holds the outer record, which turns out to be unreadable after it was taken to be readable."""

    def nested(last: str) -> Any:
        inner = record(field("outer", ["null", "a.R"]), name="a.S")
        return record(field("inner", ["null", inner]), field("last", last))

    reader, writer = nested("int"), nested("string")
    assert not java.ask(reader, writer)["compatible"]
    assert "last" in [fault.path for fault in incompatibilities(named(reader), named(writer))]


def test_what_was_decided_on_a_ground_that_proved_wrong_is_decided_anew(java: JavaAvro) -> None:
    """S is looked into while R, which it holds, is still taken to be readable; R is not, and so neither is S. Java keeps
    its first verdict on S, and then can't read it."""

    def a_r(bad: str) -> Any:
        inner = record(field("outer", ["null", "a.R"]), name="a.S")
        return record(field("inner", ["null", inner]), field("bad", bad))

    b_r = record(field("bad", "string"), name="b.R")
    writer = record(field("x", a_r("string")), field("y", "a.S"), name="a.T")
    reader = record(field("x", [a_r("int"), b_r]), field("y", "a.S"), name="a.T")
    body = b"\0\0" + b"\2\0\0"  # x: no inner, bad is empty; y: an R without inner, whose bad is empty
    answer = java.ask(reader, writer, [body])
    assert answer["compatible"]
    assert "error" in answer["values"][0]
    (fault,) = incompatibilities(named(reader), named(writer))
    assert fault.path.startswith("y.outer")
    with pytest.raises(Undecodable):
        Decoder(writer, reader).decode(body)
