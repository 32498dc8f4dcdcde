"""The sender's digest of an upload and the reader's digest of the record agree, and nothing else does."""

from typing import Any

import msgspec
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.simulator.content import Content
from infra.simulator.journal import RECORDS as NAMES
from schemas.codec import decode, encode
from schemas.columns import ColumnDecoder
from schemas.contract import RecordType, load
from schemas.shape import shape_of
from schemas.wire import prefix
from tests.schemas.records import within

CONTRACT = load()
ENCODED = msgspec.json.Encoder(order="sorted").encode
RECORDS = [CONTRACT.records[name] for name in NAMES.values()]
OBJECTS = st.dictionaries(
    st.text(max_size=5), st.none() | st.floats(-1e9, 1e9) | st.text(max_size=5) | st.integers(-9, 9), max_size=4
)


def decoded(record: RecordType, rows: list[dict[str, Any]]) -> pl.DataFrame:
    columns = ColumnDecoder(record, lambda _: record.schema).decode([prefix(1) + encode(record, row) for row in rows])
    assert columns.faults == ()
    return columns.frame


def uploaded(record: RecordType, row: dict[str, Any]) -> dict[str, Any]:
    """What a device sends so that the ingress writes `row`: objects as objects, fields in their order."""
    row = decode(record.schema, encode(record, row))
    texts = {name for name, field in record.fields.items() if field.get("format") == "json-object"}
    return {name: msgspec.json.decode(value) if name in texts else value for name, value in row.items()}


@st.composite
def logged(draw: st.DrawFn) -> tuple[RecordType, list[dict[str, Any]]]:
    record = draw(st.sampled_from(RECORDS))
    rows = draw(st.lists(within(shape_of(record.schema)), min_size=1, max_size=3))
    if "metadata" in record.fields:
        rows = [{**row, "metadata": msgspec.json.encode(draw(OBJECTS)).decode()} for row in rows]
    return record, rows


@settings(max_examples=60, deadline=None)
@given(logged())
def test_both_digests_agree(case: tuple[RecordType, list[dict[str, Any]]]) -> None:
    record, rows = case
    content = Content(record)
    assert content.digests(decoded(record, rows)).to_list() == [content.digest(uploaded(record, row)) for row in rows]


@settings(max_examples=60, deadline=None)
@given(logged(), st.data())
def test_another_content_has_another_digest(case: tuple[RecordType, list[dict[str, Any]]], data: st.DataObject) -> None:
    """Of any field that a device sends; what the ingress fills in makes no difference."""
    record, rows = case
    content, row = Content(record), rows[0]
    name = data.draw(st.sampled_from(sorted(record.fields)))
    other = {**row, name: data.draw(within(shape_of(record.schema)))[name]}
    mine = record.fields[name].get("origin") != "server"
    same = ENCODED(uploaded(record, row)[name]) == ENCODED(uploaded(record, other)[name])
    changed = content.digests(decoded(record, [row, other]))
    assert (changed[0] != changed[1]) == (mine and not same)
