"""A batch of several record types says of each record what the decoder of its own type says of it."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.check import check
from schemas.codec import Encoder
from schemas.columns import INDEX, ColumnDecoder
from schemas.contract import HERE, RecordType, Schema, load
from schemas.record_columns import RECORD, SMALL, RecordsDecoder, Unlike, decoder_of, topic_schema
from schemas.shape import shape_of
from schemas.wire import UnknownSchema, prefix
from tests.schemas.records import anything, same, within

CONTRACT = load()
TOPIC = CONTRACT.topics["fleet.registration.events"]
RECORDS = dict(enumerate(TOPIC.records, 1))
STRANGER, BROKEN, NOWHERE = 100, 101, 102
FLAT = {"name": "Flat", "namespace": "fleetlog.registration", "type": "record"}


def schema_of(number: int) -> Schema:
    if number == STRANGER:
        return CONTRACT.records["HeartbeatReceived"].schema
    if number == BROKEN:
        return {"type": "no such thing"}
    if number not in RECORDS:
        raise UnknownSchema(f"no {number}")
    return RECORDS[number].schema


@st.composite
def framed(draw: st.DrawFn) -> bytes | None:
    number = draw(st.sampled_from(sorted(RECORDS)))
    record = RECORDS[number]
    value = prefix(number) + Encoder(record).encode(
        draw(within(shape_of(record.schema)) | anything(shape_of(record.schema)))
    )
    how = draw(st.sampled_from(["whole"] * 8 + ["cut", "stranger", "broken", "nowhere", "frame", "tombstone"]))
    other = {"stranger": STRANGER, "broken": BROKEN, "nowhere": NOWHERE}
    if how in other:
        return prefix(other[how]) + value[5:]
    return {"whole": value, "cut": value[:-1], "frame": b"\1" + value[1:], "tombstone": None}[how]


@pytest.mark.parametrize("small", [0, SMALL], ids=["by type", "one by one"])
@given(values=st.lists(framed(), max_size=12))
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_rows_and_faults_are_those_of_the_record_types(values: list[bytes | None], small: int) -> None:
    columns = RecordsDecoder(TOPIC.records, schema_of, small).decode(values)
    rows: dict[int, dict[str, Any]] = {}
    reasons: dict[int, tuple[str, str]] = {}
    for i, value in enumerate(values):
        number = int.from_bytes(value[1:5], "big") if value else 0
        if number == BROKEN and value is not None and value[0] == 0:
            reasons[i] = ("undecodable", "")
            continue
        record = RECORDS.get(number, TOPIC.records[0])
        one = ColumnDecoder(record, schema_of).decode([value])
        if one.faults:
            reasons[i] = (one.faults[0].reason, one.faults[0].detail if number in RECORDS else "")
        else:
            rows[i] = {RECORD: record.name, **one.frame.to_dicts()[0]}
    told = {fault.index: (fault.reason, reasons.get(fault.index, ("", ""))[1] and fault.detail) for fault in columns.faults}
    assert told == reasons
    assert list(told) == sorted(told)
    assert dict(columns.frame.schema) == topic_schema(TOPIC.records)
    made = {row.pop(INDEX): row for row in columns.frame.to_dicts()}
    assert list(made) == sorted(rows)
    for i, row in rows.items():
        own = {name: value for name, value in row.items() if name != INDEX}
        assert same({name: made[i][name] for name in own}, own)
        assert not any(value is not None for name, value in made[i].items() if name not in own)


@given(values=st.lists(framed(), max_size=12), wanted=st.sets(st.sampled_from(sorted(r.name for r in TOPIC.records))))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_rows_are_those_of_the_frame_and_of_the_wanted_types(values: list[bytes | None], wanted: set[str]) -> None:
    whole = RecordsDecoder(TOPIC.records, schema_of, 0).decode(values)
    every, some = (RecordsDecoder(TOPIC.records, schema_of, 0, only) for only in (None, frozenset(wanted)))
    read = every.rows(values)
    assert [(one.index, one.reason) for one in read.faults] == [(one.index, one.reason) for one in whole.faults]
    for (index, row), of_frame in zip(read.rows, whole.frame.to_dicts(), strict=True):
        assert index == of_frame.pop(INDEX)
        assert same({name: of_frame[name] for name in row}, dict(row))
    types = {index: row[RECORD] for index, row in read.rows}
    assert [(i, row[RECORD]) for i, row in some.rows(values).rows] == [one for one in types.items() if one[1] in wanted]
    assert some.decode(values).frame[INDEX].to_list() == [index for index, name in types.items() if name in wanted]


def test_a_topic_of_one_record_type_keeps_its_decoder() -> None:
    assert isinstance(decoder_of(CONTRACT.topics["fleet.telemetry"], schema_of), ColumnDecoder)
    assert isinstance(decoder_of(TOPIC, schema_of), RecordsDecoder)


def test_an_id_that_the_registry_learns_later_is_asked_for_again() -> None:
    known: dict[int, Schema] = {}

    def later(number: int) -> Schema:
        if number not in known:
            raise UnknownSchema(f"no {number}")
        return known[number]

    decoder = RecordsDecoder(TOPIC.records, later)
    assert [fault.reason for fault in decoder.decode([prefix(1) + b"x"]).faults] == ["unknown-schema"]
    known[1] = RECORDS[1].schema
    assert [fault.reason for fault in decoder.decode([prefix(1) + b"x"]).faults] == ["undecodable"]


def record(name: str, **types: str) -> RecordType:
    fields = [{"name": field, "type": kind, "doc": "x"} for field, kind in types.items()]
    return RecordType(name, "registration", {**FLAT, "name": name, "fields": fields})


def test_fields_of_one_name_share_the_wider_type() -> None:
    one, other = record("One", n="int", x="float"), record("Other", n="long", x="double")
    decoder = RecordsDecoder((one, other), {1: one.schema, 2: other.schema}.__getitem__)
    values: list[bytes | None] = [
        prefix(2) + Encoder(other).encode({"n": 2**40, "x": 0.5}),
        prefix(1) + Encoder(one).encode({"n": 7, "x": 0.25}),
    ]
    frame = decoder.decode(values).frame
    assert dict(frame.schema) == {INDEX: pl.UInt32, RECORD: pl.String, "n": pl.Int64, "x": pl.Float64}
    assert frame.rows() == [(0, "Other", 2**40, 0.5), (1, "One", 7, 0.25)]


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [({"n": "int"}, {"n": "string"}, "n is String in Other, and Int32"), ({}, {"record": "string"}, "a field named record")],
)
def test_fields_without_a_common_type_are_told(one: dict[str, str], other: dict[str, str], told: str) -> None:
    with pytest.raises(Unlike, match=told):
        topic_schema((record("One", a="int", **one), record("Other", a="int", **other)))


def test_the_check_refuses_types_that_do_not_fit_one_frame(tmp_path: Path) -> None:
    root = tmp_path / "schemas"
    shutil.copytree(HERE, root, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for file in ("released/DeviceReset/1.avsc", "avsc/registration/DeviceReset.avsc"):
        text = (root / file).read_text("utf-8")
        (root / file).write_text(text.replace('"name": "device_id"', '"name": "capabilities"'))
    found = [str(finding) for finding in check(root) if finding.file == "topics.toml"]
    assert found == [
        "topics.toml: fleet.registration.events: its records can't be read as columns of one frame: "
        "capabilities is String in DeviceReset, and List(String) in another record type"
    ]
