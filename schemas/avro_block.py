"""Many bodies of one schema read as one Avro block, by one native call of polars.

A block of an Avro file is the records' bodies one after another, so framed values joined are nearly one. A *fence*, a
secret number, stands after every value; the schema of the block says so: the five bytes of the frame, the record's
fields, a long. A body that takes more or fewer bytes than it has makes a reader miss a fence; a body can't forge one.

polars is lenient within a body (any union index but null's, any enum index that fits, ints cut to their type, padded
integers), so `schemas.block_proof` proves of every block that each body is the one canonical encoding of what was read.
Whatever can't be proven is left to the reference decoder.
"""

import io
import json
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from schemas.avro_writer import long_bytes
from schemas.block_proof import MOST_SYMBOLS, Proof
from schemas.shape import Kind, Shape
from schemas.wire import PREFIX_BYTES, prefix

_SYNC = bytes(16)
_REFUSALS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)  # a panic is a BaseException
_PRIMITIVES = {Kind.TIMESTAMP: "long"}


_DTYPES: dict[Kind, pl.DataType] = {
    Kind.STRING: pl.String(),
    Kind.ENUM: pl.String(),
    Kind.BYTES: pl.Binary(),
    Kind.INT: pl.Int32(),
    Kind.LONG: pl.Int64(),
    Kind.TIMESTAMP: pl.Int64(),
    Kind.FLOAT: pl.Float32(),
    Kind.DOUBLE: pl.Float64(),
    Kind.BOOLEAN: pl.Boolean(),
}


def dtype(shape: Shape) -> pl.DataType:
    """The polars type of a column of this shape."""
    if shape.kind is Kind.RECORD:
        return pl.Struct({part.name: dtype(part.shape) for part in shape.fields})
    return pl.List(dtype(shape.item)) if shape.kind is Kind.ARRAY else _DTYPES[shape.kind]


def is_columnar(shape: Shape) -> bool:
    """Whether polars can read blocks of this shape, and the proof covers it."""
    if shape.kind is Kind.RECORD:
        return bool(shape.fields) and all(
            is_columnar(part.shape) and not (part.shape.kind is Kind.ENUM and part.shape.nullable) for part in shape.fields
        )
    if shape.kind is Kind.ARRAY:
        return shape.item.kind is not Kind.ENUM and is_columnar(shape.item)
    return len(shape.symbols) <= MOST_SYMBOLS


def _holds_enum(shape: Shape) -> bool:
    """Whether polars reads a column of this shape as, or with, categories, which are to be text."""
    if shape.kind is Kind.ARRAY:
        return _holds_enum(shape.item)
    return shape.kind is Kind.ENUM or any(_holds_enum(part.shape) for part in shape.fields)


class BlockReader:
    """Reads values of one schema id. `shape` must be columnar. Holds no state between calls."""

    def __init__(self, schema_id: int, shape: Shape) -> None:
        self._proof = Proof(shape)
        self._prefix = np.frombuffer(prefix(schema_id), np.uint8)
        secret = secrets.randbits(64) - 2**63
        self._secret, self._fence = secret, long_bytes(secret)
        self._fields = [
            pl.col(part.name).cast(dtype(part.shape)) if _holds_enum(part.shape) else pl.col(part.name)
            for part in shape.fields
        ]
        longest = max((part.name for part in shape.fields), key=len)
        outer = [f"_{name}_{longest}" for name in ("frame", "fence")]  # longer than any field's name
        self._fence_name = outer[1]
        self._header = _header(shape, outer[0], outer[1])

    def read(self, values: Sequence[bytes]) -> pl.DataFrame | None:
        """A row per value, a column per field; None where not each value is surely a record in canonical encoding."""
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        ends = np.cumsum(sizes + len(self._fence)) - len(self._fence)
        starts = ends - sizes
        file, begin, end = self._file(values, int(ends[-1]) + len(self._fence))
        octets = np.frombuffer(file, np.uint8)[begin:end]
        if sizes.min() < PREFIX_BYTES or not self._framed(octets, starts):
            return None
        frame = self._rows(file, len(values))
        if frame is None or not self._proof.holds(frame, octets, starts + PREFIX_BYTES, ends):
            return None
        return frame

    def _framed(self, octets: np.ndarray[Any, Any], starts: np.ndarray[Any, Any]) -> bool:
        return all(bool((octets[starts + i] == byte).all()) for i, byte in enumerate(self._prefix))

    def _file(self, values: Sequence[bytes], size: int) -> tuple[bytes, int, int]:
        """An Avro file of one block of `size` bytes, a fence after each value; and where in it the block begins and ends.
        Joined in one go: every further copy of the block costs a tenth of what reading it does."""
        head = b"".join((self._header, long_bytes(len(values)), long_bytes(size)))
        if len(values) == 1:
            parts = [b"".join((head, values[0], self._fence, _SYNC))]
        else:
            parts = [head + values[0], *values[1:-1], b"".join((values[-1], self._fence, _SYNC))]
        return self._fence.join(parts), len(head), len(head) + size

    def _rows(self, file: bytes, count: int) -> pl.DataFrame | None:
        try:
            rows = pl.read_avro(io.BytesIO(file))
        except _REFUSALS:
            return None
        if rows.height != count or not (rows[self._fence_name] == self._secret).all():
            return None
        return rows.select(self._fields)


def _header(shape: Shape, frame_name: str, fence_name: str) -> bytes:
    """The start of an Avro object container file whose records are frame, fields of `shape`, fence."""
    frame = {"name": frame_name, "type": {"type": "fixed", "name": "Frame", "size": PREFIX_BYTES}}
    fence = {"name": fence_name, "type": "long"}
    schema = _Types().of(shape)
    schema["fields"] = [frame, *schema["fields"], fence]
    text = json.dumps(schema).encode()
    parts = (b"avro.schema", text, b"avro.codec", b"null")
    return b"Obj\x01" + long_bytes(2) + b"".join(long_bytes(len(part)) + part for part in parts) + b"\0" + _SYNC


class _Types:
    """Shapes as Avro types. polars takes no references to named types, so each use is spelled out under its own name."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, shape: Shape) -> Any:
        made = self._not_null(shape)
        if not shape.nullable:
            return made
        return ["null", made] if shape.null_first else [made, "null"]

    def _not_null(self, shape: Shape) -> Any:
        self._count += 1
        name = f"T{self._count}"
        if shape.kind is Kind.RECORD:
            fields = [{"name": part.name, "type": self.of(part.shape)} for part in shape.fields]
            return {"type": "record", "name": name, "fields": fields}
        if shape.kind is Kind.ARRAY:
            return {"type": "array", "items": self.of(shape.item)}
        if shape.kind is Kind.ENUM:
            return {"type": "enum", "name": name, "symbols": list(shape.symbols)}
        return _PRIMITIVES.get(shape.kind, str(shape.kind))
