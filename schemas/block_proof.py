"""The proof that a block's bodies are the canonical encodings of the values that were read from them.

Canonical means: every integer in its shortest form, every array in one block without a byte count. Each value has one
canonical encoding, and no encoding of it is shorter. So if a reader, which demonstrably took all bytes of a body (the
fence), returned values whose canonical encoding has as many bytes, then each part of the body was canonical and stands
where the sizes of the parts before it put it. What the reader is lenient about within a part, the indices of unions and
enums, the bytes of booleans and the spare bits of the widest integers, is then looked up at those places.

All arithmetic is on whole columns; sizes that are the same for all rows stay plain numbers.
"""

from typing import Any

import numpy as np
import polars as pl

from schemas.shape import INTEGERS, Kind, Shape

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Octets = np.ndarray[Any, np.dtype[np.uint8]]
Sizes = Numbers | int

MOST_SYMBOLS = 64  # whose index takes one byte
# From which number on an integer takes as many bytes as its type allows, how many those are, and what the last may be: it
# has bits to spare, which the reader drops.
_WIDEST = {Kind.INT: (1 << 27, 5, 0x0F), Kind.LONG: (1 << 62, 10, 0x01), Kind.TIMESTAMP: (1 << 62, 10, 0x01)}
_FIXED = {Kind.FLOAT: 4, Kind.DOUBLE: 8, Kind.BOOLEAN: 1, Kind.ENUM: 1}
_ITEM = "item"


class _Unproven(Exception):
    """Some body is not the canonical encoding of its row."""


class Proof:
    """Proofs for records of one shape (whose enums have at most MOST_SYMBOLS symbols)."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._level = _Level()
        for part in shape.fields:
            self._level.add(part.shape, pl.col(part.name), part.name)

    def holds(self, frame: pl.DataFrame, octets: Octets, starts: Numbers, ends: Numbers) -> bool:
        """Whether body i, the octets [starts[i], ends[i]), is the canonical encoding of row i, for every row."""
        rows = _Rows(self._level, frame)
        walk = _Walk(octets)
        try:
            at = starts
            for part in self._shape.fields:
                at = walk.past(part.shape, part.name, rows, at, None)
        except _Unproven:
            return False
        return bool((at == ends).all())


class _Level:
    """What has to be computed of the columns on one level of nesting: the records themselves, or an array's items."""

    def __init__(self) -> None:
        self.expressions: list[pl.Expr] = []
        self.arrays: dict[str, tuple[pl.Expr, _Level]] = {}

    def add(self, shape: Shape, column: pl.Expr, name: str) -> None:
        """Add `column`, whose sizes, counts or numbers are to be found under `name`, and `name?`: is it not null."""
        if shape.nullable:
            self.expressions.append(column.is_not_null().alias(f"{name}?"))
        if shape.kind is Kind.RECORD:
            for part in shape.fields:
                self.add(part.shape, column.struct.field(part.name), f"{name}.{part.name}")
        elif shape.kind is Kind.ARRAY:
            self._number(column.list.len(), name)
            items = _Level()
            items.add(shape.item, pl.col(_ITEM), _ITEM)
            self.arrays[name] = column.explode(empty_as_null=False, keep_nulls=False).alias(_ITEM), items
        elif shape.kind in INTEGERS:
            self._number(column, name)
        elif shape.kind is Kind.STRING:
            self._number(column.str.len_bytes(), name)
        elif shape.kind is Kind.BYTES:
            self._number(column.bin.size(), name)

    def _number(self, column: pl.Expr, name: str) -> None:
        self.expressions.append(column.cast(pl.Int64).fill_null(0).alias(name))


class _Rows:
    """What a level asks for, computed over a frame in one go."""

    def __init__(self, level: _Level, frame: pl.DataFrame) -> None:
        self._level, self._frame = level, frame
        found = frame.select(level.expressions) if level.expressions else pl.DataFrame()
        self._found = {name: found[name].to_numpy() for name in found.columns}
        self._items: dict[str, _Rows] = {}
        self.count = frame.height

    def numbers(self, name: str) -> Numbers:
        return self._found[name]

    def present(self, name: str) -> Mask:
        return self._found[f"{name}?"]

    def items(self, name: str) -> "_Rows":
        if name not in self._items:
            column, level = self._level.arrays[name]
            self._items[name] = _Rows(level, self._frame.select(column))
        return self._items[name]


class _Walk:
    """Goes through all bodies of a block at once, one part after the other."""

    def __init__(self, octets: Octets) -> None:
        self._octets = octets

    def past(self, shape: Shape, name: str, rows: _Rows, at: Numbers, within: Mask | None) -> Numbers:
        """The places after the values called `name`, which start at `at`; only rows in `within` count (None: all)."""
        if not shape.nullable:
            return self._past_value(shape, name, rows, at, within)
        present = rows.present(name)
        value_tag, null_tag = (2, 0) if shape.null_first else (0, 2)
        found = self._octets.take(at, mode="clip")
        if within is None and present.all():
            _demand(found == value_tag, None)
            return self._past_value(shape, name, rows, at + 1, None)
        _demand(found == np.where(present, value_tag, null_tag), within)
        inner = present if within is None else present & within
        return np.where(inner, self._past_value(shape, name, rows, at + 1, inner), at + 1)

    def _past_value(self, shape: Shape, name: str, rows: _Rows, at: Numbers, within: Mask | None) -> Numbers:
        if shape.kind is Kind.RECORD:
            for part in shape.fields:
                at = self.past(part.shape, f"{name}.{part.name}", rows, at, within)
            return at
        if shape.kind is Kind.ARRAY:
            return self._past_array(shape, name, rows, at)
        if shape.kind is Kind.BOOLEAN:
            _demand(self._octets.take(at, mode="clip") < 2, within)
        elif shape.kind is Kind.ENUM:
            found = self._octets.take(at, mode="clip")
            _demand((found < 2 * len(shape.symbols)) & (found % 2 == 0), within)
        elif shape.kind in INTEGERS:
            wide = _widest(shape, rows.numbers(name))
            if wide.any():
                _, size, most = _WIDEST[shape.kind]
                _demand((self._octets.take(at + (size - 1), mode="clip") <= most) | ~wide, within)
        return at + _sizes(shape, name, rows)

    def _past_array(self, shape: Shape, name: str, rows: _Rows, at: Numbers) -> Numbers:
        counts, items = rows.numbers(name), rows.items(name)
        first = np.cumsum(counts) - counts  # the number of each array's first item among all
        until = _until(shape.item, items)
        head = at + _head_sizes(counts)
        if _is_tagged(shape.item) or _holds_widest(shape.item, _ITEM, items):
            self.past(shape.item, _ITEM, items, np.repeat(head - until[first], counts) + until[:-1], None)
        after: Numbers = head + until[first + counts] - until[first] + 1
        return after


def _demand(holds: Mask, within: Mask | None) -> None:
    if not (holds if within is None else holds | ~within).all():
        raise _Unproven


def _is_tagged(shape: Shape) -> bool:
    """Whether values of this shape hold octets that a lenient reader may have misread."""
    if shape.kind is Kind.ARRAY:
        return shape.nullable or _is_tagged(shape.item)
    inner = any(_is_tagged(part.shape) for part in shape.fields)
    return shape.nullable or shape.kind in (Kind.BOOLEAN, Kind.ENUM) or inner


def _widest(shape: Shape, numbers: Numbers) -> Mask:
    """Which of the numbers take as many bytes as their type allows."""
    least = _WIDEST[shape.kind][0]
    return (numbers >= least) | (numbers < -least)


def _holds_widest(shape: Shape, name: str, rows: _Rows) -> bool:
    """Whether any of the values, or a part of one, is such an integer."""
    if shape.kind is Kind.ARRAY:
        return _holds_widest(shape.item, _ITEM, rows.items(name))
    if shape.kind is Kind.RECORD:
        return any(_holds_widest(part.shape, f"{name}.{part.name}", rows) for part in shape.fields)
    return shape.kind in INTEGERS and bool(_widest(shape, rows.numbers(name)).any())


def _until(shape: Shape, items: _Rows) -> Numbers:
    """For each of all items, and for the end, how many bytes the items before it take."""
    sizes = _nullable_sizes(shape, _ITEM, items)
    until = np.zeros(items.count + 1, np.int64)
    np.cumsum(np.broadcast_to(sizes, items.count), out=until[1:])
    return until


def _head_sizes(counts: Numbers) -> Sizes:
    """Bytes before the items of an array: its count, or nothing for an empty one (its end is all there is)."""
    return np.where(counts > 0, _varint_sizes(counts), 0)


def _nullable_sizes(shape: Shape, name: str, rows: _Rows) -> Sizes:
    sizes = _sizes(shape, name, rows)
    return 1 + (rows.present(name) * sizes) if shape.nullable else sizes


def _sizes(shape: Shape, name: str, rows: _Rows) -> Sizes:
    """How many bytes the canonical encoding of each value takes; of a null, anything."""
    if shape.kind in _FIXED:
        return _FIXED[shape.kind]
    if shape.kind in INTEGERS:
        return _varint_sizes(rows.numbers(name))
    if shape.kind in (Kind.STRING, Kind.BYTES):
        lengths = rows.numbers(name)
        return lengths + _varint_sizes(lengths)
    if shape.kind is Kind.RECORD:
        total: Sizes = 0
        for part in shape.fields:
            total = total + _nullable_sizes(part.shape, f"{name}.{part.name}", rows)
        return total
    counts = rows.numbers(name)
    until = _until(shape.item, rows.items(name))
    first = np.cumsum(counts) - counts
    sizes: Numbers = _head_sizes(counts) + until[first + counts] - until[first] + 1
    return sizes


def _varint_sizes(numbers: Numbers) -> Sizes:
    """How many bytes the zigzag varint of each number takes."""
    if not len(numbers):
        return 0
    low, high = int(numbers.min()), int(numbers.max())
    if low >= 0 and (least := _varint_size(low)) == _varint_size(high):
        return least
    zigzag = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    sizes = np.ones(len(numbers), np.int64)
    for bits in range(7, 64, 7):
        sizes += zigzag >= np.uint64(1 << bits)
    return sizes


def _varint_size(number: int) -> int:
    return max(1, -(-(number << 1).bit_length() // 7))
