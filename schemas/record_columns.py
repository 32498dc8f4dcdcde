"""Batches of a topic of several record types to columns: one frame, whatever the types of its records.

The records of each type are decoded by themselves (`schemas.columns`), so that a batch costs one native call a type, and
are put back into the order of the batch; the records of a small batch one by one, which costs less than the calls. The
frame has the columns of all types of the topic; a record has nulls in those that its type lacks.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import polars as pl

from schemas.avro_reader import BadSchema
from schemas.codec import parsed
from schemas.columns import INDEX, ColumnDecoder, Columns, Fault, Rows, frame_schema
from schemas.contract import RecordType, Schema, Topic
from schemas.wire import NotFramed, UnknownSchema, schema_id

RECORD = "record"
"""The column that names the record type."""

SMALL = 200
"""Records of a batch that are read one by one. A type's columns cost 2 ms however few its records, a record alone 50 µs."""

_WIDER: dict[frozenset[pl.DataType], pl.DataType] = {
    frozenset[pl.DataType]((pl.Int32(), pl.Int64())): pl.Int64(),
    frozenset[pl.DataType]((pl.Float32(), pl.Float64())): pl.Float64(),
}


class BatchDecoder(Protocol):
    """What reads the batches of one topic."""

    small: int
    """Batches of so many records or fewer cost less by `rows` than by `decode`."""

    def rows(self, values: Sequence[bytes | None]) -> Rows:
        """The records of a batch: those, and the faults, that `decode` gives."""

    def decode(self, values: Sequence[bytes | None]) -> Columns:
        """The columns of a batch; never raises for what a record holds."""


class Unlike(ValueError):
    """Fields of one name have types that have no common one; the message names them."""


def decoder_of(topic: Topic, schema_of: Callable[[int], Schema], wanted: frozenset[str] | None = None) -> BatchDecoder:
    """The decoder for a topic. `schema_of` is as for ColumnDecoder; `wanted` are the record types that are read, all if none
    are named: the others are neither rows nor faults."""
    if len(topic.records) == 1:
        return ColumnDecoder(topic.record, schema_of)
    return RecordsDecoder(topic.records, schema_of, wanted=wanted)


def topic_schema(records: Sequence[RecordType]) -> dict[str, pl.DataType]:
    """The columns of the frames of a topic: those of its record type, or `index`, `record` and those of all its types.

    Raises:
        Unlike: two types have a field of the same name whose types have no common one.
    """
    if len(records) == 1:
        return frame_schema(records[0])
    found: dict[str, pl.DataType] = {INDEX: pl.UInt32(), RECORD: pl.String()}
    for record in records:
        fields = frame_schema(record)
        if RECORD in fields:
            raise Unlike(f"{record.name} has a field named {RECORD}, which is the column of the record types")
        for name, kind in fields.items():
            found[name] = _common(name, found.get(name, kind), kind, record)
    return found


def _common(name: str, one: pl.DataType, other: pl.DataType, record: RecordType) -> pl.DataType:
    if one == other:
        return one
    wider = _WIDER.get(frozenset((one, other)))
    if wider is None:
        raise Unlike(f"{name} is {other} in {record.name}, and {one} in another record type")
    return wider


class RecordsDecoder:
    """Decodes batches of a topic of several record types, written under any schemas of them. For one thread at a time."""

    def __init__(
        self,
        records: Sequence[RecordType],
        schema_of: Callable[[int], Schema],
        small: int = SMALL,
        wanted: frozenset[str] | None = None,
    ) -> None:
        """Raises `Unlike`, see `topic_schema`."""
        self.small = small
        self._wanted = wanted
        self._columns = topic_schema(records)
        self._names = {record.full_name: record.name for record in records}
        self._decoders = {record.name: ColumnDecoder(record, schema_of) for record in records}
        self._casts = {record.name: self._cast(record) for record in records}
        self._schema_of = schema_of
        self._types: dict[int, str | Fault] = {}

    def _cast(self, record: RecordType) -> list[pl.Expr]:
        """What makes the columns of a type's frame those of the topic."""
        own = frame_schema(record)
        made = [pl.lit(record.name).alias(RECORD)]
        for name, kind in self._columns.items():
            if name not in (INDEX, RECORD):
                made.append(pl.col(name).cast(kind) if name in own else pl.lit(None, kind).alias(name))
        return made

    def decode(self, values: Sequence[bytes | None]) -> Columns:
        return self._by_record(values) if len(values) <= self.small else self._by_type(values)

    def rows(self, values: Sequence[bytes | None]) -> Rows:
        rows: list[tuple[int, dict[str, Any]]] = []
        faults: list[Fault] = []
        for index, value in enumerate(values):
            found = self._type(value)
            if isinstance(found, str) and not self._reads(found):
                continue
            read = self._decoders[found].row(index, value) if isinstance(found, str) and value is not None else found
            if isinstance(read, dict):
                rows.append((index, {RECORD: found, **read}))
            elif isinstance(read, Fault):
                faults.append(Fault(index, read.reason, read.detail))
        return Rows(tuple(rows), tuple(faults))

    def _reads(self, record: str) -> bool:
        return self._wanted is None or record in self._wanted

    def _by_record(self, values: Sequence[bytes | None]) -> Columns:
        read = self.rows(values)
        columns = {name: [row.get(name) for _, row in read.rows] for name in self._columns if name != INDEX}
        return Columns(pl.DataFrame({INDEX: [i for i, _ in read.rows], **columns}, schema=self._columns), read.faults)

    def _by_type(self, values: Sequence[bytes | None]) -> Columns:
        places: dict[str, list[int]] = {}
        faults: list[Fault] = []
        for index, value in enumerate(values):
            found = self._type(value)
            if isinstance(found, str):
                if self._reads(found):
                    places.setdefault(found, []).append(index)
            else:
                faults.append(Fault(index, found.reason, found.detail))
        frames = [pl.DataFrame(schema=self._columns)]
        for name, at in places.items():
            columns = self._decoders[name].decode([values[i] for i in at])
            where = pl.Series(INDEX, at, pl.UInt32)
            frames.append(columns.frame.select(where.gather(columns.frame[INDEX]), *self._casts[name]))
            faults += [Fault(at[fault.index], fault.reason, fault.detail) for fault in columns.faults]
        frame = pl.concat(frames)
        if not frame[INDEX].is_sorted():
            frame = frame.sort(INDEX)
        return Columns(frame, tuple(sorted(faults, key=lambda fault: fault.index)))

    def _type(self, value: bytes | None) -> str | Fault:
        """The record type of a value, or what is wrong with it (a Fault of whatever index)."""
        if value is None:
            return Fault(0, "tombstone", "no value")
        try:
            number = schema_id(value)
        except NotFramed as error:
            return Fault(0, "not-framed", str(error))
        known = self._types.get(number)
        return self._learn(number) if known is None else known

    def _learn(self, number: int) -> str | Fault:
        """The record type of a schema id. An id that the registry does not know is asked for again the next time."""
        try:
            writer = parsed(self._schema_of(number))
        except UnknownSchema as error:
            return Fault(0, "unknown-schema", str(error) or f"the registry has no schema {number}")
        except BadSchema as error:
            found: str | Fault = Fault(0, "undecodable", f"schema {number}: {error}")
        else:
            name = writer.get("name") if isinstance(writer, dict) else None
            detail = f"schema {number} is of {name or 'no record'}, which is not of this topic"
            found = self._names.get(str(name)) or Fault(0, "wrong-record-type", detail)
        self._types[number] = found
        return found
