"""Views folded over the same records read in two ways: what would differ in them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from infra.evolution.sample import Record
from projections.projection import KeyedProjection, Projection, RowProjection
from projections.updates import changes
from schemas.columns import INDEX
from schemas.contract import RecordType, Topic
from schemas.record_columns import RECORD, topic_schema

Values = Mapping[str, Any]
FAILURES = (pl.exceptions.PolarsError, KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What a view raises when it is given records that lack what it reads."""

SHOWN = 60


def differing(
    view: Projection,
    of: tuple[Topic, RecordType],
    records: Sequence[Record],
    read: Sequence[Values],
    written: Sequence[Values],
) -> list[tuple[str, str]]:
    """(field of the view, what differs); `of` says which topic's records these are, and of
    which type; `read` and `written` are the values of the same records, in their order."""
    try:
        before = _fold(view, of, records, written)
    except FAILURES as error:
        return [("", f"can't be folded over the present schema's fields: {_first_line(error)}")]
    try:
        after = _fold(view, of, records, read)
    except FAILURES as error:
        return [("", f"can't be folded over the records as the new schema reads them: {_first_line(error)}")]
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    for key in before.keys() | after.keys():
        for name, was, now in _parts(before.get(key, {}), after.get(key, {})):
            counts[name] = counts.get(name, 0) + 1
            examples.setdefault(name, f"{key}: {_shown(was)} became {_shown(now)}")
    what = "documents" if isinstance(view, KeyedProjection) else "rows"
    return [(name, f"differs in {counts[name]} {what}, such as {examples[name]}") for name in sorted(counts)]


def _fold(
    view: Projection, of: tuple[Topic, RecordType], records: Sequence[Record], values: Sequence[Values]
) -> dict[str, Any]:
    """Documents by key, or rows by their identity, each a mapping of its fields."""
    made: dict[str, Any] = {}
    for topic, frame in _frames(*of, records, values):
        if isinstance(view, RowProjection):
            made |= _rows(view, frame)
            continue
        for key, updates in view.summary(topic, frame).items():
            document = made.setdefault(key, {})
            document.update(changes(document, updates))
    return made


def _rows(view: RowProjection, frame: pl.DataFrame) -> dict[str, Any]:
    identity = view.table.identity
    return {"/".join(str(row[name]) for name in identity): row for row in view.rows(frame).iter_rows(named=True)}


def _frames(
    topic: Topic, record: RecordType, records: Sequence[Record], values: Sequence[Values]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """A frame of each partition's records, which are of one of the topic's record types, as a view sees them."""
    columns = {name: _wide(kind) for name, kind in topic_schema(topic.records).items() if name != INDEX}
    named = {RECORD: record.name} if RECORD in columns else {}
    for source in dict.fromkeys(one.source for one in records):
        here = [i for i, one in enumerate(records) if one.source == source]
        frame = pl.DataFrame([{**named, **values[i]} for i in here], schema=columns, orient="row")
        yield (
            source.topic,
            frame.select(
                pl.lit(source.topic).alias("topic"),
                pl.lit(source.partition, pl.Int64).alias("partition"),
                pl.Series("offset", [records[i].offset for i in here], pl.Int64),
                pl.all(),
            ),
        )


def _wide(kind: pl.DataType) -> pl.DataType:
    """A column type that also holds what the writer had before it became a float of 32 bits."""
    if isinstance(kind, pl.Struct):
        return pl.Struct({field.name: _wide(field.dtype) for field in kind.fields})  # type: ignore[arg-type]
    if isinstance(kind, pl.List):
        return pl.List(_wide(kind.inner))  # type: ignore[arg-type]
    return pl.Float64() if isinstance(kind, pl.Float32) else kind


def _parts(was: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The fields in which two documents or rows differ; JSON within a document's field is looked into."""
    was, now = _opened(was), _opened(now)
    if isinstance(was, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*was, *now)):
            yield from _parts(was.get(name), now.get(name), f"{path}.{name}" if path else str(name))
    elif was != now and not (was != was and now != now):
        yield path, was, now


def _opened(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0].split('; valid columns')[0] if text else ''}"
