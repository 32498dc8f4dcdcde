"""Stepping over blocks: it must end exactly where the block ends, however the bytes arrive."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.chserver.columns import step_block, step_strings, stepper
from infra.chserver.errors import EngineError, ProtocolError
from infra.chserver.type_names import arguments, element, fixed_width, parts
from infra.chserver.wire import Reader, empty_source, string, varint

LIMIT = 1 << 24
TYPES = (
    "UInt8",
    "Int16",
    "UInt32",
    "Int64",
    "UInt128",
    "Int256",
    "Float32",
    "Float64",
    "BFloat16",
    "Bool",
    "String",
    "UUID",
    "IPv4",
    "IPv6",
    "Date",
    "Date32",
    "DateTime",
    "DateTime('UTC')",
    "DateTime64(6, 'UTC')",
    "FixedString(7)",
    "Decimal(9, 2)",
    "Decimal(30, 4)",
    "Decimal(60, 9)",
    "Enum8('a, (' = 1, 'b\\'' = 2)",
    "Enum16('x' = 1000)",
    "Nullable(String)",
    "Nullable(Float64)",
    "LowCardinality(String)",
    "LowCardinality(Nullable(String))",
    "Array(String)",
    "Array(Float64)",
    "Array(Array(Nullable(String)))",
    "Array(LowCardinality(Nullable(String)))",
    "Tuple(UInt8, String)",
    "Tuple(a UInt8, `b c` Array(LowCardinality(String)))",
    "Map(String, UInt64)",
    "Map(LowCardinality(String), Array(UInt8))",
    "Array(Tuple(x UInt8, y String))",
    "Point",
    "Polygon",
    "SimpleAggregateFunction(sum, UInt64)",
    "IntervalDay",
)
NOT_RANDOM = ("BFloat16", "IntervalDay")  # generateRandom does not make them


def slowly(data: bytes, rng: random.Random, most: int) -> Callable[[], bytes]:
    """A source that gives `data` in pieces of 1 to `most` bytes."""

    def pieces() -> Iterator[bytes]:
        at = 0
        while at < len(data):
            size = rng.randint(1, most)
            yield data[at : at + size]
            at += size

    given_out = pieces()
    return lambda: next(given_out, b"")


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("rows", [1, 300])
def test_blocks_that_the_engine_wrote(server: Any, name: str, rows: int) -> None:
    structure = f"c {name}".replace("\\", "\\\\")  # parameters are unescaped as TabSeparated is
    sql = "SELECT * FROM generateRandom({structure:String}, 7, 12, 5) LIMIT {rows:UInt32} FORMAT Native"
    if name in NOT_RANDOM:
        sql = f"SELECT CAST(number AS {name}) AS c FROM numbers({{rows:UInt32}}) FORMAT Native"
    status, _, data = server.http(sql, param_structure=structure, param_rows=rows)
    assert status == 200, data
    reader = Reader(slowly(data + b"the next packet", random.Random(1), 97), LIMIT)
    found, steps = 0, 0
    while found < rows:
        block = step_block(reader)
        found += block.rows
        steps += 1
    assert found == rows
    assert reader.position == len(data)
    assert steps == 1
    assert block.data == data
    assert block.columns[0][0] == "c"


texts = st.one_of(
    st.lists(st.binary(max_size=300), max_size=40),
    st.tuples(st.binary(max_size=40), st.integers(60, 700)).map(lambda pair: [pair[0]] * pair[1]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=6), st.integers(0, 2**32), st.sampled_from([1, 7, 500, 100_000]))
def test_strings_of_any_lengths(groups: list[list[bytes]], seed: int, most: int) -> None:
    strings = [text for group in groups for text in group]
    data = b"".join(map(string, strings))
    reader = Reader(slowly(data + b"\x05after", random.Random(seed), most), LIMIT)
    step_strings(reader, len(strings))
    assert reader.position == len(data)
    assert reader.string() == "after"


def test_a_stop_in_the_middle_is_an_end_of_file() -> None:
    block = varint(1) + varint(3) + string("a") + string("String") + string("x") * 3
    for cut in range(len(block)):
        with pytest.raises(EOFError):
            step_block(Reader(empty_source, LIMIT, block[:cut]))
    assert step_block(Reader(empty_source, LIMIT, block)).data == block


@pytest.mark.parametrize(
    "block",
    [
        varint(1 << 40) + varint(1),
        varint(1) + varint(1 << 60) + string("a") + string("UInt64"),
        varint(1) + varint(2) + string("a") + string("String") + varint(1 << 60),
        varint(1) + varint(1) + string("a") + string("Array(UInt8)") + b"\xff" * 8,
        varint(1) + varint(1) + string("a") + string("LowCardinality(String)") + bytes(8) + b"\x07" + bytes(7),
        varint(1) + varint(1) + string("a") + string("LowCardinality(String)") + bytes(9) + b"\x02" + bytes(22),
        varint(1) + varint(1) + string("a") + string("Dynamic"),
        varint(1) + varint(1) + string("a") + string("Array(" * 40 + "UInt8" + ")" * 40),
        b"\xff" * 12,
    ],
)
def test_blocks_that_cannot_be_followed(block: bytes) -> None:
    with pytest.raises(ProtocolError):
        step_block(Reader(empty_source, LIMIT, block))


@pytest.mark.parametrize("name", ["Variant(String, UInt8)", "JSON", "AggregateFunction(avg, UInt8)", "Nope", "", "("])
def test_types_that_are_not_known(name: str) -> None:
    with pytest.raises(EngineError) as caught:
        stepper(name)
    assert caught.value.code == 48


def test_parts_of_type_names() -> None:
    assert parts("Array(Tuple(a UInt8))") == ("Array", "Tuple(a UInt8)")
    assert arguments("a, Tuple(b, c), Enum8('x,\\')' = 1, '(' = 2)") == ["a", "Tuple(b, c)", "Enum8('x,\\')' = 1, '(' = 2)"]
    assert arguments("") == []
    assert element("`a b` Nullable(String)") == "Nullable(String)"
    assert element("name.x UInt8") == "UInt8"
    assert element("UInt8") == "UInt8"
    assert [fixed_width(f"Decimal({digits}, 1)") for digits in (9, 10, 38, 76, 77)] == [4, 8, 16, 32, 0]
