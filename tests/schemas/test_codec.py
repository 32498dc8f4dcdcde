"""The reference decoder refuses what Avro does not define; the fast encoder writes what fastavro writes."""

import io
import struct

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro_writer import long_bytes
from schemas.codec import BadSchema, Decoder, Encoder, Undecodable, Unencodable, decode, encode
from schemas.contract import RecordType
from schemas.shape import shape_of
from tests.schemas.records import NAMES, RECORDS, anything, same

EVERY_TYPE = {
    "type": "record",
    "name": "EveryType",
    "namespace": "test",
    "fields": [
        {"name": "i", "type": "int"},
        {"name": "f", "type": "float"},
        {"name": "b", "type": "boolean"},
        {"name": "raw", "type": ["bytes", "null"]},
        {"name": "e", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}},
        {"name": "inner", "type": ["null", {"type": "record", "name": "In", "fields": [{"name": "x", "type": "long"}]}]},
        {"name": "lists", "type": {"type": "array", "items": {"type": "array", "items": ["null", "string"]}}},
        {"name": "more", "type": {"type": "array", "items": "In"}},
    ],
}
TYPES = {**RECORDS, "EveryType": RecordType("EveryType", "test", EVERY_TYPE)}


@pytest.mark.parametrize("name", sorted(TYPES))
@given(data=st.data())
def test_fast_encoder_writes_what_fastavro_writes_and_it_comes_back(name: str, data: st.DataObject) -> None:
    record = TYPES[name]
    values = data.draw(anything(shape_of(record.schema)))
    body = Encoder(record).encode(values)
    assert body == encode(record, values)
    assert same(decode(record.schema, body), values) or name == "EveryType"
    if name == "EveryType":
        values["f"] = struct.unpack("<f", struct.pack("<f", values["f"]))[0]
        assert same(decode(record.schema, body), values)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=60)
def test_every_proper_part_of_a_body_and_every_longer_one_is_refused(name: str, data: st.DataObject) -> None:
    record = RECORDS[name]
    body = Encoder(record).encode(data.draw(anything(shape_of(record.schema))))
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(Undecodable):
        decode(record.schema, body[:cut])
    with pytest.raises(Undecodable, match="left over"):
        decode(record.schema, body + b"\0")


def one(kind: object) -> dict[str, object]:
    return {"type": "record", "name": "One", "fields": [{"name": "x", "type": kind}]}


NESTED = {"type": "array", "items": {"type": "record", "name": "R", "fields": [{"name": "v", "type": "double"}]}}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
LONGS = {"type": "array", "items": "long"}


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("string", long_bytes(2**60), "x: needs 1152921504606846976 bytes, 0 are left"),
        ("string", long_bytes(-5) + b"hello", "x: a negative length, -5"),
        ("string", long_bytes(2) + b"\xc3\x28", "x: is not UTF-8 at its byte 0"),
        ("string", long_bytes(3) + b"\xed\xa0\x80", "x: is not UTF-8"),
        ("bytes", long_bytes(2**40), "x: needs"),
        ("long", b"\x80" * 10 + b"\x01", "x: an integer of more than 10 bytes"),
        ("long", b"\xff" * 9 + b"\x02", "x: an integer of more than 64 bits"),
        ("long", b"\x80", "x: the bytes end within an integer"),
        ("int", long_bytes(2**31), "x: 2147483648 does not fit"),
        ("boolean", b"\x02", "x: 0x02 is no boolean"),
        ("boolean", b"", "x: the bytes end"),
        ("double", b"1234567", "x: needs 8 bytes, 7 are left"),
        (ENUM, long_bytes(2), "x: 2 is not the number of one of 2 symbols"),
        (ENUM, long_bytes(-1), "x: -1 is not"),
        (["null", "double"], long_bytes(2) + bytes(8), "x: 2 is not the number of one of 2 branches"),
        (["null", "double"], long_bytes(-1) + bytes(8), "x: -1 is not"),
        (LONGS, long_bytes(2**60) + b"\2", "x: a block of"),
        (LONGS, long_bytes(-2) + long_bytes(3) + b"\2\2\0", "x: needs 3 bytes|x: a block is not as long"),
        (LONGS, long_bytes(-(2**63)) + long_bytes(1) + b"\0", "x: a block of"),
        (NESTED, long_bytes(2) + bytes(8) + b"123", r"x\[1\].v: needs 8 bytes, 3 are left"),
        ({"type": "map", "values": "long"}, long_bytes(1) + long_bytes(1) + b"k", r"x\[0\]: the bytes end"),
        ({"type": "fixed", "name": "F", "size": 4}, b"123", "x: needs 4 bytes, 3 are left"),
    ],
)
def test_what_avro_does_not_define_is_refused_by_place(kind: object, body: bytes, message: str) -> None:
    with pytest.raises(Undecodable, match=message):
        decode(one(kind), body)


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        (LONGS, long_bytes(-2) + long_bytes(2) + b"\2\4\0", [1, 2]),
        (LONGS, long_bytes(1) + b"\2" + long_bytes(1) + b"\4\0", [1, 2]),
        ("long", b"\x82\x00", 1),
        ("long", b"\xff" * 9 + b"\x01", -(2**63)),
        ({"type": "map", "values": "int"}, long_bytes(1) + long_bytes(1) + b"k\2\0", {"k": 1}),
        ({"type": "long", "logicalType": "timestamp-micros"}, long_bytes(2**62), 2**62),
        ({"type": "string", "logicalType": "uuid"}, long_bytes(1) + b"x", "x"),
    ],
)
def test_every_form_that_avro_defines_is_read(kind: object, body: bytes, value: object) -> None:
    assert decode(one(kind), body) == {"x": value}


def test_recursive_schema_neither_crashes_nor_hangs() -> None:
    schema = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    assert decode(schema, b"\2\2\0") == {"next": {"next": {"next": None}}}
    with pytest.raises(Undecodable, match="nested too deeply"):
        decode(schema, b"\2" * 100_000 + b"\0")


@pytest.mark.parametrize(
    "items", ["null", {"type": "record", "name": "Empty", "fields": []}, {"type": "fixed", "name": "F", "size": 0}]
)
def test_arrays_of_nothing_are_refused_as_schemas(items: object) -> None:
    with pytest.raises(BadSchema, match="take no bytes"):
        Decoder(one({"type": "array", "items": items}))


@pytest.mark.parametrize("schema", [{}, {"type": "recurd"}, {"type": "record"}, one("Unknown"), one(3)])
def test_what_is_no_schema_is_said_to_be_none(schema: dict[str, object]) -> None:
    with pytest.raises(BadSchema):
        Decoder(schema)


def test_reader_schema_resolves_and_a_misfit_is_undecodable() -> None:
    old = one("int")
    new = one("double")
    new["fields"] = [*new["fields"], {"name": "y", "type": "string", "default": "-"}]  # type: ignore[misc]
    assert decode(old, long_bytes(7), new) == {"x": 7.0, "y": "-"}
    with pytest.raises(Undecodable, match="does not resolve"):
        decode(one("string"), long_bytes(1) + b"s", old)


GOOD = {"event_id": "e", "device_id": "d", "occurred_at": 1, "received_at": 2, "boot_id": "b", "sequence": 3}
READING = {"metric": "m", "at": 1, "value": 1.0, "unit": None}


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({}, "event_id: is missing"),
        (GOOD | {"readings": None}, "readings: None is no array"),
        (GOOD | {"readings": [READING, {**READING, "value": "x"}]}, r"readings\[1\].value: 'x' is no double"),
        (GOOD | {"readings": [{}]}, r"readings\[0\].metric: is missing"),
        (GOOD | {"readings": [], "sequence": 2**63}, "sequence: 9223372036854775808 is no long"),
        (GOOD | {"readings": [], "boot_id": "\ud800"}, "boot_id: .* is no string"),
        (GOOD | {"readings": [], "boot_id": b"b"}, "boot_id: b'b' is no string"),
    ],
)
def test_what_can_not_be_written_is_named_by_place(values: dict[str, object], place: str) -> None:
    record = RECORDS["TelemetryReceived"]
    with pytest.raises(Unencodable, match=place):
        Encoder(record).encode(values)
    with pytest.raises(Unencodable, match=place):
        encode(record, values)


def test_a_float_is_no_long() -> None:
    with pytest.raises(Unencodable, match=r"sequence: 1.0 is no long"):
        Encoder(RECORDS["TelemetryReceived"]).encode(GOOD | {"readings": [], "sequence": 1.0})


def test_null_for_a_record_that_is_not_nullable_is_refused() -> None:
    record = RECORDS["HeartbeatReceived"]
    with pytest.raises(Unencodable):
        Encoder(record).encode(dict.fromkeys(record.fields))


@given(st.integers(-(2**63), 2**63 - 1))
def test_varints_are_fastavros(number: int) -> None:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", number)
    assert long_bytes(number) == out.getvalue()


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**80])
def test_varints_beyond_64_bits_are_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        long_bytes(number)
