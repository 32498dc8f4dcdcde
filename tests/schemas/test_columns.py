"""A batch as columns says of each record what the reference decoder and the contract's bounds say of it."""

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.avro_writer import long_bytes
from schemas.codec import Decoder, Encoder, Undecodable, encode
from schemas.columns import Columns, frame_schema
from schemas.contract import RecordType
from schemas.shape import shape_of, violations
from schemas.wire import PREFIX_BYTES, prefix
from tests.schemas.decoding import ID, OLDER, OTHER, decoder, older, schemas_of
from tests.schemas.records import NAMES, RECORDS, anything, same, within

SLOW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def expected(record: RecordType, values: list[bytes | None]) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    """Good rows and reasons of the others by place, from the reference decoder alone."""
    schemas, shape = schemas_of(record), shape_of(record.schema)
    rows: dict[int, dict[str, Any]] = {}
    reasons: dict[int, str] = {}
    for i, value in enumerate(values):
        if value is None:
            reasons[i] = "tombstone"
        elif len(value) < PREFIX_BYTES or value[0] != 0:
            reasons[i] = "not-framed"
        elif (number := int.from_bytes(value[1:5], "big")) not in schemas:
            reasons[i] = "unknown-schema"
        elif number == OTHER:
            reasons[i] = "wrong-record-type"
        else:
            try:
                row = Decoder(schemas[number], record.schema).decode(value[PREFIX_BYTES:])
            except Undecodable:
                reasons[i] = "undecodable"
                continue
            if any(violations(shape, row, "")):
                reasons[i] = "out-of-contract"
            else:
                rows[i] = row
    return rows, reasons


def agrees(record: RecordType, values: list[bytes | None], columns: Columns) -> None:
    rows, reasons = expected(record, values)
    assert {fault.index: fault.reason for fault in columns.faults} == reasons
    assert [fault.index for fault in columns.faults] == sorted(reasons)
    assert dict(columns.frame.schema) == frame_schema(record)
    made = {row.pop("index"): row for row in columns.frame.to_dicts()}
    assert list(made) == sorted(rows)
    assert all(same(made[i], rows[i]) for i in rows)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@SLOW
def test_columns_are_what_the_reference_decoder_reads(name: str, data: st.DataObject) -> None:
    record = RECORDS[name]
    drawn = data.draw(st.lists(anything(shape_of(record.schema)) | within(shape_of(record.schema)), max_size=8))
    encoder = Encoder(record)
    values: list[bytes | None] = [prefix(ID) + encoder.encode(one) for one in drawn]
    agrees(record, values, decoder(record).decode(values))


@st.composite
def corrupted(draw: st.DrawFn, value: bytes) -> bytes | None:
    how = draw(st.sampled_from(["whole", "whole", "flip", "cut", "longer", "id", "frame", "tombstone", "garbage", "octet"]))
    at = draw(st.integers(0, len(value) - 1))
    if how == "flip":
        return value[:at] + bytes([value[at] ^ 1 << draw(st.integers(0, 7))]) + value[at + 1 :]
    if how == "octet":
        return value[:at] + draw(st.binary(min_size=1, max_size=1)) + value[at + 1 :]
    if how == "cut":
        return value[:at]
    if how == "longer":
        return value + draw(st.binary(min_size=1, max_size=12))
    if how == "id":
        return prefix(draw(st.sampled_from([OLDER, OTHER, 10]))) + value[PREFIX_BYTES:]
    if how == "frame":
        return b"\1" + value[1:]
    if how == "garbage":
        return prefix(ID) + draw(st.binary(max_size=60))
    return None if how == "tombstone" else value


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@SLOW
def test_no_good_record_is_lost_and_no_bad_one_kept(name: str, data: st.DataObject) -> None:
    record = RECORDS[name]
    shape, encoder, before = shape_of(record.schema), Encoder(record), older(record.schema)
    then = RecordType(record.name, record.context, before)
    values: list[bytes | None] = []
    # A batch of a few records again and again: to make up 30 takes several times as long as all that is tested.
    drawn = data.draw(st.lists(within(shape), min_size=1, max_size=4))
    for one in data.draw(st.lists(st.sampled_from(drawn), min_size=1, max_size=30)):
        written = {field["name"]: one.get(field["name"], 1) for field in before["fields"]}
        if data.draw(st.integers(0, 4)) == 0:
            fresh = prefix(OLDER) + encode(then, written)
        else:
            fresh = prefix(ID) + encoder.encode(one)
        values.append(data.draw(corrupted(fresh)))
    agrees(record, values, decoder(record).decode(values))


LENIENT = {
    "type": "record",
    "name": "Lenient",
    "namespace": "fleetlog.test",
    "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN"]}},
        {"name": "number", "type": ["null", "long"]},
        {"name": "text", "type": ["string", "null"]},
        {"name": "whole", "type": "int"},
        {
            "name": "items",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Item",
                    "fields": [
                        {"name": "on", "type": ["null", "boolean"]},
                        {"name": "inner", "type": ["null", {"type": "array", "items": ["null", "string"]}]},
                        {"name": "part", "type": ["null", {"type": "record", "name": "P", "fields": [
                            {"name": "a", "type": ["null", "bytes"]}, {"name": "b", "type": "float"}]}]},
                    ],
                },
            },
        },
    ],
}  # fmt: skip
LENIENT_RECORD = RecordType("Lenient", "test", LENIENT)
ONLY = {ID: LENIENT}
HEAD, NONE = b"\1\2", b"\0\2\0"  # true, GREEN; null, null, 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\2\2" + NONE + b"\0", "flag: 0x02 is no boolean"),
        (b"\xff\2" + NONE + b"\0", "flag: 0xff is no boolean"),
        (b"\1\4" + NONE + b"\0", "colour: 2 is not"),
        (b"\1\1" + NONE + b"\0", "colour: -1 is not"),
        (b"\1" + long_bytes(2**40) + NONE + b"\0", "colour: 1099511627776 is not"),
        (HEAD + b"\4\2" + b"\2\0" + b"\0", "number: 2 is not"),
        (HEAD + b"\1\2" + b"\2\0" + b"\0", "number: -1 is not"),
        (HEAD + b"\0" + b"\4\2q" + b"\0" + b"\0", "text: 2 is not"),
        (HEAD + b"\0\2" + long_bytes(2**40) + b"\0", "whole: 1099511627776 does not fit"),
        (HEAD + NONE + b"\2" + b"\2\2" + b"\0\0" + b"\0", r"items\[0\].on: 0x02 is no boolean"),
        (HEAD + NONE + b"\2" + b"\0" + b"\2\2\4\2q\0" + b"\0" + b"\0", r"items\[0\].inner\[0\]: 2 is not"),
        (HEAD + NONE + b"\2" + b"\0\0" + b"\2\4\2q1234" + b"\0", r"items\[0\].part.a: 2 is not"),
        (HEAD + b"\0" + b"\0" + long_bytes(2**60), "text: needs"),
        (HEAD + b"\0" + b"\0" + long_bytes(-3) + b"abc", "text: a negative length"),
        (b"", "flag: the bytes end"),
    ],
)
def test_what_a_lenient_reader_lets_pass_is_found_among_good_records(body: bytes, message: str) -> None:
    good = prefix(ID) + HEAD + NONE + b"\0"
    values: list[bytes | None] = [good] * 40
    values[17] = prefix(ID) + body
    made = decoder(LENIENT_RECORD, ONLY).decode(values)
    assert [(fault.index, fault.reason) for fault in made.faults] == [(17, "undecodable")]
    assert made.faults[0].detail.startswith(message.replace("\\", ""))
    assert made.frame["index"].to_list() == [i for i in range(40) if i != 17]


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (b"\2" + b"\0\0\0" + b"\2" + b"\2\1\0\0" + b"\0", [None, True]),  # two blocks
        (long_bytes(-2) + long_bytes(7) + b"\0\0\0" + b"\2\1\0\0" + b"\0", [None, True]),  # a block with its size
        (b"\x82\0" + b"\2\1\0\0" + b"\0", [True]),  # a padded count
    ],
)
def test_uncommon_encodings_are_read_all_the_same(body: bytes, items: list[bool | None]) -> None:
    plain = prefix(ID) + HEAD + NONE + b"\0"
    made = decoder(LENIENT_RECORD, ONLY).decode([plain, prefix(ID) + HEAD + NONE + body, plain])
    assert made.faults == ()
    assert [item["on"] for item in made.frame["items"].to_list()[1]] == items


WIDE = {
    "type": "record",
    "name": "Wide",
    "namespace": "fleetlog.test",
    "fields": [
        {"name": "whole", "type": "int"},
        {"name": "number", "type": ["null", "long"]},
        {"name": "items", "type": {"type": "array", "items": {"type": "record", "name": "Each", "fields": [
            {"name": "small", "type": "int"}, {"name": "large", "type": "long"}]}}},
    ],
}  # fmt: skip
SHORT_INT, LONG_INT = b"\x80" * 4 + b"\x08", b"\x80" * 4 + b"\x28"  # of 32 bits, and of one more
SHORT_LONG, LONG_LONG = b"\x80" * 9 + b"\1", b"\x80" * 9 + b"\3"  # of 64 bits, and of one more


@pytest.mark.parametrize("at", ["whole", "number", "small", "large"])
@pytest.mark.parametrize("is_wrong", [True, False])
def test_an_integer_may_take_no_more_bits_than_its_type_has(at: str, is_wrong: bool) -> None:
    small, large = (LONG_INT, LONG_LONG) if is_wrong else (SHORT_INT, SHORT_LONG)
    sent = {"whole": b"\2", "number": b"\2", "small": b"\2", "large": b"\2"} | {
        at: small if at in ("whole", "small") else large
    }
    body = sent["whole"] + b"\2" + sent["number"] + b"\4" + b"\2\2" + sent["small"] + sent["large"] + b"\0"
    plain = prefix(ID) + b"\2" + b"\0" + b"\0"
    made = decoder(RecordType("Wide", "test", WIDE), {ID: WIDE}).decode([plain, prefix(ID) + body, plain])
    assert [(fault.index, fault.reason) for fault in made.faults] == ([(1, "undecodable")] if is_wrong else [])
    assert made.frame["index"].to_list() == ([0, 2] if is_wrong else [0, 1, 2])


@given(data=st.data())
@SLOW
def test_a_record_of_all_columnar_types(data: st.DataObject) -> None:
    drawn = data.draw(st.lists(within(shape_of(LENIENT)), max_size=6))
    made = decoder(LENIENT_RECORD, ONLY).decode([prefix(ID) + Encoder(LENIENT_RECORD).encode(one) for one in drawn])
    assert made.faults == ()
    assert same(json_floats(made.frame.drop("index").to_dicts()), json_floats(drawn))


def json_floats(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows whose floats of 32 bits are cut to what such a float can hold."""
    for row in rows:
        for item in row["items"]:
            if item["part"] is not None:
                item["part"]["b"] = pl.Series([item["part"]["b"]], dtype=pl.Float32)[0]
    return rows


@pytest.mark.parametrize("name", NAMES)
def test_no_records_are_an_empty_frame(name: str) -> None:
    made = decoder(RECORDS[name]).decode([])
    assert made.faults == ()
    assert made.frame.is_empty()
    assert dict(made.frame.schema) == frame_schema(RECORDS[name])


def test_order_is_kept_over_schemas_and_faults() -> None:
    record = RECORDS["DeviceRegistered"]
    values = {"event_id": "0" * 36, "device_id": "d", "occurred_at": 1, "received_at": 1, "hardware_id": "h",
              "model": "m", "firmware_version": "1", "hardware_revision": None, "capabilities": []}  # fmt: skip
    new = prefix(ID) + Encoder(record).encode(values)
    old = prefix(OLDER) + encode(RecordType(record.name, record.context, older(record.schema)),
                                 {k: v for k, v in values.items() if k != "hardware_revision"})  # fmt: skip
    batch: list[bytes | None] = [old, None, new, b"", old, prefix(99), new, b"junk?", old]
    made = decoder(record).decode(batch)
    assert made.frame["index"].to_list() == [0, 2, 4, 6, 8]
    assert [(fault.index, fault.reason) for fault in made.faults] == [
        (1, "tombstone"),
        (3, "not-framed"),
        (5, "unknown-schema"),
        (7, "not-framed"),
    ]
