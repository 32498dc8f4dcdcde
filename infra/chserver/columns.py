"""Stepping over columns in ClickHouse's Native format, to find where a block ends: a block on the wire has no length.

Only sizes are read here; values go to the engine as they came. A type's state prefix (LowCardinality has one) stands
before the rows of the whole column, also when it is nested.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

import numpy as np

from infra.chserver.errors import Code, EngineError, broken, failure
from infra.chserver.type_names import arguments, element, fixed_width, parts, replacement
from infra.chserver.wire import Reader

Prefix = Callable[[Reader], None]
Rows = Callable[[Reader, int], None]

_DEEPEST = 32  # nesting of types
_FIRST_STRETCH, _LONGEST_STRETCH = 256, 16_384
_HAS_GLOBAL_DICTIONARY, _HAS_KEYS = 1 << 8, 1 << 9  # flags of LowCardinality's index type


@dataclass(frozen=True, slots=True)
class Stepper:
    """How to step over a column of one type: its state prefix, then its rows."""

    prefix: Prefix
    rows: Rows


def _no_prefix(_: Reader) -> None:
    """Most types keep no state."""


@lru_cache(maxsize=1024)
def stepper(type_name: str, depth: int = 0) -> Stepper:
    """The stepper of a type.

    Raises:
        EngineError: NOT_IMPLEMENTED, the type's bytes cannot be stepped over (Variant, Dynamic, JSON, AggregateFunction).
    """
    if depth > _DEEPEST:
        raise failure(Code.NOT_IMPLEMENTED, f"Types nested deeper than {_DEEPEST} are not read")
    width = fixed_width(type_name)
    if width:
        return Stepper(_no_prefix, lambda reader, rows: reader.skip(width * rows))
    name, inner = parts(type_name)
    other = replacement(name, inner)
    if other:
        return stepper(other, depth + 1)
    if name == "String":
        return Stepper(_no_prefix, step_strings)
    if name == "Nullable":
        return _nullable(stepper(inner, depth + 1))
    if name == "Array":
        return _array(stepper(inner, depth + 1))
    if name == "Tuple":
        return _tuple([stepper(element(argument), depth + 1) for argument in arguments(inner)])
    if name == "LowCardinality":
        key_name, key_inner = parts(inner)
        return _low_cardinality(stepper(key_inner if key_name == "Nullable" else inner, depth + 1))
    raise failure(
        Code.NOT_IMPLEMENTED,
        f"Columns of type {type_name} cannot be inserted over the native protocol here; insert them over HTTP",
    )


def check(columns: list[tuple[str, str]]) -> None:
    """Refuse a table's columns before a client sends rows that could not be stepped over."""
    for _, type_name in columns:
        stepper(type_name)


def _nullable(inner: Stepper) -> Stepper:
    def rows(reader: Reader, count: int) -> None:
        reader.skip(count)  # a byte per row: is it null
        inner.rows(reader, count)

    return Stepper(inner.prefix, rows)


def _array(inner: Stepper) -> Stepper:
    def rows(reader: Reader, count: int) -> None:
        if count:
            reader.skip(8 * count)  # for each row the end of its elements
            total = int.from_bytes(reader.buffer[reader.position - 8 : reader.position], "little")
            if total:
                inner.rows(reader, total)

    return Stepper(inner.prefix, rows)


def _tuple(inner: list[Stepper]) -> Stepper:
    def prefix(reader: Reader) -> None:
        for part in inner:
            part.prefix(reader)

    def rows(reader: Reader, count: int) -> None:
        for part in inner:
            part.rows(reader, count)

    if not inner:
        return Stepper(_no_prefix, lambda reader, count: reader.skip(count))  # an empty tuple is a byte per row
    return Stepper(prefix, rows)


def _low_cardinality(keys: Stepper) -> Stepper:
    def rows(reader: Reader, count: int) -> None:
        while count > 0:
            flags = reader.integer(8)
            if flags & _HAS_GLOBAL_DICTIONARY or not flags & _HAS_KEYS or flags & 255 > 3:
                raise broken(Code.INCORRECT_DATA, f"A LowCardinality column has the unknown index type {flags:#x}")
            keys.rows(reader, reader.integer(8))
            indexes = reader.integer(8)
            if not 0 < indexes <= count:
                raise broken(Code.INCORRECT_DATA, f"A LowCardinality column has {indexes} indexes for {count} rows")
            reader.skip((1 << (flags & 255)) * indexes)
            count -= indexes

    return Stepper(lambda reader: reader.skip(8), rows)


def step_strings(reader: Reader, count: int) -> None:
    """Step over `count` strings.

    Where strings stand whose lengths are all the same (ids, names of one pattern), numpy checks them a stretch at a
    time; elsewhere a plain loop goes from length to length. Stretches of the loop double, so that text of mixed
    lengths is not probed again and again.
    """
    stretch = _FIRST_STRETCH
    while count > 0:
        same = _same_length(reader, count)
        if same:
            count -= same
            stretch = _FIRST_STRETCH
            continue
        part = min(count, stretch)
        _each_length(reader, part)
        count -= part
        stretch = min(2 * stretch, _LONGEST_STRETCH)


def _same_length(reader: Reader, count: int) -> int:
    """Step over the strings at the position that are as long as the first one; returns how many, 0 if but a few."""
    start, fetched = reader.position, len(reader.buffer)
    if start >= fetched or reader.buffer[start] > 127:
        return 0
    stride = reader.buffer[start] + 1
    whole = min(count, (fetched - start) // stride)
    if whole < 64 or reader.buffer[start : start + 64 * stride : stride] != reader.buffer[start : start + 1] * 64:
        return 0
    lengths = np.frombuffer(reader.buffer, np.uint8, whole * stride, start)[::stride]
    different = lengths != lengths[0]
    run = int(different.argmax()) or whole
    del lengths  # the buffer cannot grow while numpy looks at it
    reader.skip(run * stride)
    return run


def _each_length(reader: Reader, count: int) -> None:
    buffer, position = reader.buffer, reader.position
    strings = repeat(None, count)
    while True:
        try:
            for _ in strings:
                size = buffer[position]
                if size < 128:
                    position += size + 1
                else:
                    reader.position = position
                    size = reader.varint()
                    position = reader.position + size
            break
        except IndexError:  # the string in hand was not fetched yet, and `strings` counts it as done
            reader.go_to(position)
            reader.skip(reader.varint())
            position = reader.position
    reader.go_to(position)


@dataclass(frozen=True, slots=True)
class Block:
    """A block's columns (name, type), its number of rows, and its bytes in the Native format."""

    columns: tuple[tuple[str, str], ...]
    rows: int
    data: bytes


def step_block(reader: Reader, max_columns: int = 10_000) -> Block:
    """Step over one block (without block info) and copy its bytes.

    Raises:
        ProtocolError: the block cannot be followed to its end.
    """
    start = reader.position
    count, rows = reader.varint(), reader.varint()
    if count > max_columns:
        raise broken(Code.INCORRECT_DATA, f"A block of {count} columns is more than the {max_columns} allowed")
    columns = []
    for _ in range(count):
        name, type_name = reader.string(), reader.string()
        columns.append((name, type_name))
        if rows:
            try:
                column = stepper(type_name)
            except EngineError as error:  # nobody knows where the rest of the stream goes on
                raise broken(Code.NOT_IMPLEMENTED, f"Block column {name}: {error.text}") from error
            column.prefix(reader)
            column.rows(reader, rows)
    return Block(tuple(columns), rows, reader.since(start))
