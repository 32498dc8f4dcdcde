"""Whole batches of framed records to columns, and what is wrong with the others.

The values of one schema id go through `schemas.avro_block` in one piece. Where that refuses, in pieces; and each value
of a refused piece through the reference decoder, which says what is wrong with it. Both give the same rows. Values that
upcasters change the meaning of are read one by one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from fastavro.schema import to_parsing_canonical_form

from schemas.avro_block import BlockReader, dtype, is_columnar
from schemas.avro_reader import BadSchema, Undecodable
from schemas.codec import Decoder, parsed
from schemas.column_checks import Checks
from schemas.contract import ContractError, RecordType, Schema
from schemas.shape import shape_of, violations
from schemas.upcasters import Upcasting, UpcastingDecoder, upcasting
from schemas.wire import PREFIX_BYTES, NotFramed, UnknownSchema, schema_id
from schemas.within import within

PIECES = 12  # into which a refused batch is cut: each piece costs a millisecond, each record of a bad one 20 µs
SMALLEST_PIECE = 16
MOST_NAMED = 5  # violations of one record
SMALL = 24  # records that are read sooner one by one: columns cost a millisecond however few they are

INDEX = "index"


@dataclass(frozen=True, slots=True)
class Fault:
    """A record of the batch that can't be used.

    `index` is its place in the batch. `reason` is one of tombstone, not-framed, unknown-schema, wrong-record-type,
    undecodable, out-of-contract; `detail` says what and where.
    """

    index: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Columns:
    """A batch as columns.

    `frame` has a row per good record in the order of the batch: `index` (UInt32, the record's place in the batch) and
    the fields of the reader schema; timestamps are Int64 microseconds, nested records Structs, arrays Lists.
    `faults` ascends by index; every record of the batch is in exactly one of the two.
    """

    frame: pl.DataFrame
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch as records: each good one's place in the batch and its fields, in the order of the batch; and the others."""

    rows: tuple[tuple[int, dict[str, Any]], ...]
    faults: tuple[Fault, ...]


def supports_columns(schema: Schema) -> bool:
    """Whether records of this schema can be read as columns in one native call (no map, no fixed, no recursion ...)."""
    try:
        return is_columnar(shape_of(schema))
    except ContractError:
        return False


def frame_schema(record: RecordType) -> dict[str, pl.DataType]:
    """The columns of `Columns.frame` for a record type."""
    fields = {part.name: dtype(part.shape) for part in shape_of(record.schema).fields}
    return {INDEX: pl.UInt32(), **fields}


@dataclass(frozen=True, slots=True)
class _Plan:
    """How values of one schema id are read: `blocks` where in one piece; `refusal` where not at all."""

    blocks: BlockReader | None = None
    reference: Decoder | UpcastingDecoder | None = None
    refusal: tuple[str, str] | None = None


class ColumnDecoder:
    """Decodes batches of one record type, written under any schemas of it. For one thread at a time.

    `schema_of` gives the schema under an id. It raises UnknownSchema; whatever else it raises (a registry away) leaves
    `decode`.
    """

    def __init__(self, record: RecordType, schema_of: Callable[[int], Schema], steps: Upcasting | None = None) -> None:
        """`steps`: the upcasters of the record type; those of the contract if none are given."""
        self._record, self._schema_of = record, schema_of
        self._steps = upcasting(record) if steps is None else steps
        self._shape = shape_of(record.schema)
        self._layout = to_parsing_canonical_form(parsed(record.schema))
        self._columns = frame_schema(record)
        self._field_columns = {name: kind for name, kind in self._columns.items() if name != INDEX}
        self._checks = Checks(self._shape)
        self._within = within(self._shape)
        self._plans: dict[int, _Plan] = {}
        self.small = SMALL

    def decode(self, values: Sequence[bytes | None]) -> Columns:
        """The columns of a batch; never raises for what a record holds."""
        whole = self._whole(values)
        if whole is not None:
            frame, faults = whole.with_row_index(INDEX), list[Fault]()
        else:
            frame, faults = self._mixed(values)
        frame, broken = self._in_contract(frame)
        return Columns(frame, tuple(sorted((*faults, *broken), key=lambda fault: fault.index)))

    def rows(self, values: Sequence[bytes | None]) -> Rows:
        """The records of a batch, as `decode` reads them; for one that is small."""
        found = [
            Fault(i, "tombstone", "no value") if value is None else self.row(i, value) for i, value in enumerate(values)
        ]
        rows = tuple((i, one) for i, one in enumerate(found) if not isinstance(one, Fault))
        return Rows(rows, tuple(one for one in found if isinstance(one, Fault)))

    def row(self, index: int, value: bytes) -> dict[str, Any] | Fault:
        """One record as `decode` reads it: for batches so small that columns cost more than they save."""
        try:
            plan = self._plan(schema_id(value))
        except NotFramed as error:
            return Fault(index, "not-framed", str(error))
        except UnknownSchema as error:
            return Fault(index, "unknown-schema", _unknown(error, schema_id(value)))
        if plan.reference is None:
            assert plan.refusal is not None
            return Fault(index, *plan.refusal)
        try:
            values = plan.reference.decode(value[PREFIX_BYTES:])
        except Undecodable as error:
            return Fault(index, "undecodable", str(error))
        detail = self._outside(values)
        return Fault(index, "out-of-contract", detail) if detail else values

    def _whole(self, values: Sequence[bytes | None]) -> pl.DataFrame | None:
        """All values at once, where all are good and of one schema: nearly always."""
        first = values[0] if values else None
        if first is None or len(first) < PREFIX_BYTES or first[0] != 0 or None in values:
            return None
        try:
            plan = self._plan(schema_id(first))
        except UnknownSchema:
            return None
        return plan.blocks.read(values) if plan.blocks else None  # type: ignore[arg-type]  # None was excluded

    def _mixed(self, values: Sequence[bytes | None]) -> tuple[pl.DataFrame, list[Fault]]:
        faults: list[Fault] = []
        by_schema: dict[int, list[int]] = {}
        for i, value in enumerate(values):
            if value is None:
                faults.append(Fault(i, "tombstone", "no value"))
                continue
            try:
                by_schema.setdefault(schema_id(value), []).append(i)
            except NotFramed as error:
                faults.append(Fault(i, "not-framed", str(error)))
        frames = [pl.DataFrame(schema=self._columns)]
        for number, places in by_schema.items():
            bodies = [value for i in places if (value := values[i]) is not None]
            made, bad = self._of_schema(number, places, bodies)
            frames += made
            faults += bad
        return pl.concat(frames).sort(INDEX), faults

    def _of_schema(self, number: int, places: list[int], values: list[bytes]) -> tuple[list[pl.DataFrame], list[Fault]]:
        """Frames and faults of the values of one schema id, which stand at `places` in the batch."""
        try:
            plan = self._plan(number)
        except UnknownSchema as error:
            detail = _unknown(error, number)
            return [], [Fault(i, "unknown-schema", detail) for i in places]
        if plan.refusal is not None:
            return [], [Fault(i, *plan.refusal) for i in places]
        frames: list[pl.DataFrame] = []
        faults: list[Fault] = []
        size = max(SMALLEST_PIECE, -(-len(values) // PIECES)) if plan.blocks else len(values)
        for start in range(0, len(values), size):
            piece, at = values[start : start + size], places[start : start + size]
            rows = plan.blocks.read(piece) if plan.blocks else None
            if rows is None:
                rows, at, bad = self._one_by_one(plan, piece, at)
                faults += bad
            frames.append(rows.select(pl.Series(INDEX, at, pl.UInt32), pl.all()))
        return frames, faults

    def _one_by_one(
        self, plan: _Plan, values: list[bytes], places: list[int]
    ) -> tuple[pl.DataFrame, list[int], list[Fault]]:
        """The rows of the good values by the reference decoder, their places, and the faults of the others."""
        assert plan.reference is not None
        rows: list[dict[str, Any]] = []
        good: list[int] = []
        faults: list[Fault] = []
        for i, value in zip(places, values, strict=True):
            try:
                rows.append(plan.reference.decode(value[PREFIX_BYTES:]))
                good.append(i)
            except Undecodable as error:
                faults.append(Fault(i, "undecodable", str(error)))
        return pl.DataFrame(rows, schema=self._field_columns, orient="row"), good, faults

    def _plan(self, number: int) -> _Plan:
        plan = self._plans.get(number)
        if plan is None:
            plan = self._plans[number] = self._make_plan(number, self._schema_of(number))
        return plan

    def _make_plan(self, number: int, schema: Schema) -> _Plan:
        try:
            writer = parsed(schema)
            name = writer.get("name") if isinstance(writer, dict) else None
            if name != self._record.full_name:
                what = f"schema {number} is of {name or 'no record'}, not of {self._record.full_name}"
                return _Plan(refusal=("wrong-record-type", what))
            reference = self._steps.decoder(schema)
        except BadSchema as error:
            return _Plan(refusal=("undecodable", f"schema {number}: {error}"))
        same = to_parsing_canonical_form(writer) == self._layout and isinstance(reference, Decoder)
        columnar = same and supports_columns(self._record.schema)
        return _Plan(BlockReader(number, self._shape) if columnar else None, reference)

    def _in_contract(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Fault]]:
        """The rows within the contract's bounds, and the faults of the others."""
        mask = self._checks.suspects(frame)
        if mask is None:
            return frame, []
        faults = []
        for row in frame.filter(pl.Series(mask)).iter_rows(named=True):
            if detail := self._outside(row):
                faults.append(Fault(row[INDEX], "out-of-contract", detail))
        bad = [fault.index for fault in faults]
        return frame.filter(~pl.col(INDEX).is_in(bad)), faults

    def _outside(self, values: dict[str, Any]) -> str:
        """What of a record's values is outside the contract's bounds; empty where nothing is."""
        if self._within(values):
            return ""
        found = [f"{path}: {message}" for path, message in violations(self._shape, values, "")]
        more = f" (and {len(found) - MOST_NAMED} more)" if len(found) > MOST_NAMED else ""
        return "; ".join(found[:MOST_NAMED]) + more


def _unknown(error: UnknownSchema, number: int) -> str:
    return str(error) or f"the registry has no schema {number}"
