"""What a batch as columns says of bad records, and of schemas that it can't read as columns."""

import json
from typing import Any

import pytest

from schemas.codec import Encoder
from schemas.columns import ColumnDecoder, supports_columns
from schemas.contract import RecordType, Schema
from schemas.wire import prefix
from tests.schemas.decoding import ID, decoder
from tests.schemas.records import RECORDS

TELEMETRY = RECORDS["TelemetryReceived"]
READING = {"metric": "m", "at": 1, "value": 1.0, "unit": None}
UPLOAD: dict[str, Any] = {
    "event_id": "0" * 36,
    "device_id": "d",
    "occurred_at": 1,
    "received_at": 1,
    "boot_id": "b",
    "sequence": 0,
    "readings": [READING],
}


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"readings": [READING, {**READING, "value": float("nan")}]}, "readings[1].value: nan is not finite"),
        ({"readings": [{**READING, "value": float("-inf")}]}, "readings[0].value: -inf is not finite"),
        ({"readings": []}, "readings: has 0 items, fewer than 1"),
        ({"readings": [READING] * 1001}, "readings: has 1001 items, more than 1000"),
        ({"readings": [{**READING, "unit": "u" * 33}]}, "readings[0].unit: has 33 characters, more than 32"),
        ({"readings": [{**READING, "unit": ""}]}, "readings[0].unit: has 0 characters, fewer than 1"),
        ({"readings": [{**READING, "at": 7258118400000000}]},
         "readings[0].at: 7258118400000000 is above the maximum 7258118399999999"),
        ({"sequence": -1}, "sequence: -1 is below the minimum 0"),
        ({"event_id": "short"}, "event_id: has 5 characters, fewer than 36"),
        ({"event_id": "é" * 35}, "event_id: has 35 characters, fewer than 36"),
        ({"device_id": "../x"}, "device_id: '../x' does not match ^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"),
        ({"device_id": "d\n"}, "device_id: 'd\\n' does not match ^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"),
        ({"device_id": "", "sequence": -1},
         "device_id: has 0 characters, fewer than 1; sequence: -1 is below the minimum 0"),
    ],
)  # fmt: skip
def test_bounds_of_the_contract_are_checked_and_named(change: dict[str, Any], detail: str) -> None:
    fine, wrong = (prefix(ID) + Encoder(TELEMETRY).encode(UPLOAD | c) for c in ({}, change))
    made = decoder(TELEMETRY).decode([fine, wrong, fine])
    assert [(fault.index, fault.reason, fault.detail) for fault in made.faults] == [(1, "out-of-contract", detail)]
    assert made.frame["index"].to_list() == [0, 2]


def test_a_character_of_several_bytes_counts_once() -> None:
    fine = prefix(ID) + Encoder(TELEMETRY).encode(UPLOAD | {"boot_id": "é" * 64})
    assert decoder(TELEMETRY).decode([fine]).faults == ()


def test_forged_neighbours_do_not_join_into_good_records() -> None:
    """A body cut short, and one that begins with what the first lacks: read without borders both would do."""
    whole = Encoder(TELEMETRY).encode(UPLOAD)
    values: list[bytes | None] = [prefix(ID) + whole[:-9], prefix(ID) + whole[-9:] + whole, prefix(ID) + whole]
    made = decoder(TELEMETRY).decode(values)
    assert [fault.index for fault in made.faults] == [0, 1]
    assert made.frame["index"].to_list() == [2]


def test_away_of_the_registry_leaves_decode() -> None:
    def away(number: int) -> Schema:
        raise ConnectionError(number)

    with pytest.raises(ConnectionError):
        ColumnDecoder(TELEMETRY, away).decode([prefix(ID) + b"x"])


def test_a_schema_that_turns_up_later_is_used_then() -> None:
    known: dict[int, Schema] = {}
    columns = decoder(TELEMETRY, known)
    values: list[bytes | None] = [prefix(ID) + Encoder(TELEMETRY).encode(UPLOAD)]
    assert columns.decode(values).faults[0].reason == "unknown-schema"
    known[ID] = TELEMETRY.schema
    assert columns.decode(values).faults == ()


def test_a_schema_that_is_none_makes_its_records_undecodable() -> None:
    made = decoder(TELEMETRY, {ID: {"type": "recurd"}}).decode([prefix(ID) + b"x"])
    assert made.faults[0].reason == "undecodable"
    assert "schema 7" in made.faults[0].detail


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("string", True),
        (["null", "bytes"], True),
        ({"type": "map", "values": "long"}, False),
        ({"type": "fixed", "name": "F", "size": 3}, False),
        ("null", False),
        (["null", "long", "string"], False),
        (["null", {"type": "enum", "name": "E", "symbols": ["A"]}], False),
        ({"type": "array", "items": {"type": "enum", "name": "E", "symbols": ["A"]}}, False),
        ({"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}, False),
        (["null", "Top"], False),
    ],
)
def test_what_can_be_read_as_columns_is_known_before(kind: object, answer: bool) -> None:
    schema = {"type": "record", "name": "Top", "fields": [{"name": "x", "type": kind}]}
    assert supports_columns(schema) is answer


def test_schemas_that_are_not_columnar_take_the_reference_path() -> None:
    schema = {"type": "record", "name": "Top", "namespace": "fleetlog.test", "fields": [
        {"name": "x", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "y", "type": ["null", {"type": "enum", "name": "G", "symbols": ["C"]}]},
    ]}  # fmt: skip
    made = decoder(RecordType("Top", "test", schema), {ID: json.loads(json.dumps(schema))}).decode(
        [prefix(ID) + b"\2\2\0", prefix(ID) + b"\0\0", prefix(ID) + b"\4\0"]
    )
    assert made.frame.to_dicts() == [{"index": 0, "x": "B", "y": "C"}, {"index": 1, "x": "A", "y": None}]
    assert [fault.detail for fault in made.faults] == ["x: 2 is not the number of one of 2 symbols"]
