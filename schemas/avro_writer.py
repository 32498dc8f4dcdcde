"""The source of a function that writes one record type's Avro body, and the search for what made such a function fail.

Writing is compiled because the ingress does it for every record: a loop over the fields, or fastavro's, takes several
times as long (docs/benchmarks.md).
"""

import itertools
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from schemas.shape import FLOATS, INT_MAX, INT_MIN, INTEGERS, LONG_MAX, LONG_MIN, Field, Kind, Shape, shown

_CHUNK = 14  # bits that one table look-up encodes: two bytes of a varint
_MASK = (1 << _CHUNK) - 1


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_LAST = tuple(_varint(number) for number in range(1 << _CHUNK))
_MORE = tuple(bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(1 << _CHUNK))


def long_bytes(number: int) -> bytes:
    """Avro's zigzag varint of an integer of 64 bits.

    Raises:
        OverflowError: it has more.
        TypeError: it is no integer.
    """
    z = (number << 1) ^ (number >> 63)
    if z <= _MASK:
        return _LAST[z]
    if z < 1 << 28:
        return _MORE[z & _MASK] + _LAST[z >> 14]
    if z < 1 << 42:
        return _MORE[z & _MASK] + _MORE[z >> 14 & _MASK] + _LAST[z >> 28]
    if z < 1 << 56:
        return _MORE[z & _MASK] + _MORE[z >> 14 & _MASK] + _MORE[z >> 28 & _MASK] + _LAST[z >> 42]
    if z >> 64:
        raise OverflowError(f"{number} does not fit into 64 bits")
    return _MORE[z & _MASK] + _MORE[z >> 14 & _MASK] + _MORE[z >> 28 & _MASK] + _MORE[z >> 42 & _MASK] + _LAST[z >> 56]


def _int_bytes(number: int) -> bytes:
    if not INT_MIN <= number <= INT_MAX:
        raise OverflowError(f"{number} does not fit into 32 bits")
    return long_bytes(number)


def writer_source(shape: Shape) -> tuple[str, dict[str, Any]]:
    """The source of `write(values) -> bytes` and the scope in which it is to be executed."""
    source = _Source()
    source.record(shape, "values")
    source.flush()
    lines = "\n".join(source.lines)
    return f"def write(values):\n    out = []\n{lines}\n    return b''.join(out)\n", source.scope


class _Source:
    """Collects statements that append the parts of a body to the list `out`. Parts that need no statement of their own
    wait in `_parts`, so that many go in by one statement."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {
            "long_bytes": long_bytes,
            "int_bytes": _int_bytes,
            "SIZES": tuple(long_bytes(size) for size in range(256)),
            "float_bytes": struct.Struct("<f").pack,
            "double_bytes": struct.Struct("<d").pack,
            "BOOLEANS": {True: b"\1", False: b"\0"},
        }
        self.lines: list[str] = []
        self._parts: list[str] = []
        self._depth = 1
        self._numbers = itertools.count()

    def record(self, shape: Shape, values: str) -> None:
        """Write the fields of the record that the variable `values` holds."""
        for part in shape.fields:
            self._value(part.shape, self._item(part, values))

    def flush(self) -> None:
        """Make a statement of the waiting parts."""
        if self._parts:
            self._line(f"out += ({', '.join(self._parts)},)")
            self._parts = []

    def _line(self, text: str) -> None:
        self.lines.append("    " * self._depth + text)

    @contextmanager
    def _block(self, head: str) -> Iterator[None]:
        self.flush()
        self._line(head)
        self._depth += 1
        yield
        self.flush()
        self._depth -= 1

    def _name(self) -> str:
        return f"x{next(self._numbers)}"

    def _constant(self, value: Any) -> str:
        name = self._name()
        self.scope[name] = value
        return name

    def _item(self, part: Field, values: str) -> str:
        if part.required:
            return f"{values}[{part.name!r}]"
        return f"{values}.get({part.name!r}, {self._constant(part.default)})"

    def _value(self, shape: Shape, source: str) -> None:
        if not shape.nullable:
            self._not_null(shape, source)
            return
        x = self._name()
        null, other = (b"\0", b"\2") if shape.null_first else (b"\2", b"\0")
        self._line(f"{x} = {source}")
        with self._block(f"if {x} is None:"):
            self._parts.append(repr(null))
        with self._block("else:"):
            self._parts.append(repr(other))
            self._not_null(shape, x)

    def _not_null(self, shape: Shape, source: str) -> None:
        x = self._name()
        match shape.kind:
            case Kind.STRING | Kind.BYTES:
                self._line(f"{x} = {source}.encode()" if shape.kind is Kind.STRING else f"{x} = b'' + {source}")
                self._parts += (f"SIZES[len({x})] if len({x}) < 256 else long_bytes(len({x}))", x)
            case Kind.RECORD:
                self._line(f"{x} = {source}")
                self.record(shape, x)
            case Kind.ARRAY:
                self._array(shape, source, x)
            case Kind.ENUM:
                codes = self._constant({symbol: long_bytes(i) for i, symbol in enumerate(shape.symbols)})
                self._parts.append(f"{codes}[{source}]")
            case Kind.BOOLEAN:
                self._parts.append(f"BOOLEANS[{source}]")
            case _:
                self._parts.append(f"{_FUNCTIONS[shape.kind]}({source})")

    def _array(self, shape: Shape, source: str, x: str) -> None:
        self._line(f"{x} = {source}")
        with self._block(f"if len({x}):"):
            self._parts.append(f"long_bytes(len({x}))")
            item = self._name()
            with self._block(f"for {item} in {x}:"):
                self._value(shape.item, item)
        self._parts.append("b'\\0'")


_FUNCTIONS = {
    Kind.INT: "int_bytes",
    Kind.LONG: "long_bytes",
    Kind.TIMESTAMP: "long_bytes",
    Kind.FLOAT: "float_bytes",
    Kind.DOUBLE: "double_bytes",
}


# --- naming the fault


def misfit(shape: Shape, values: Mapping[str, Any]) -> str | None:
    """Where and why `values` are not those of a record of this shape; None when nothing is found."""
    return next(_record_misfits(shape, values, ""), None)


def _record_misfits(shape: Shape, values: Any, path: str) -> Iterator[str]:
    if not isinstance(values, Mapping):
        yield f"{path or 'record'}: expected a mapping, got {shown(values)}"
        return
    for part in shape.fields:
        inner = f"{path}.{part.name}" if path else part.name
        if part.name in values:
            yield from _misfits(part.shape, values[part.name], inner)
        elif part.required:
            yield f"{inner}: is missing"


def _misfits(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if value is None and shape.nullable:
        return
    if shape.kind is Kind.RECORD:
        yield from _record_misfits(shape, value, path)
    elif shape.kind is Kind.ARRAY and isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _misfits(shape.item, item, f"{path}[{i}]")
    elif not _fits(shape, value):
        yield f"{path}: {shown(value)} is no {shape.kind}"


def _fits(shape: Shape, value: Any) -> bool:
    kind = shape.kind
    if isinstance(value, bool):
        return kind is Kind.BOOLEAN
    if kind in INTEGERS:
        low, high = (INT_MIN, INT_MAX) if kind is Kind.INT else (LONG_MIN, LONG_MAX)
        return isinstance(value, int) and low <= value <= high
    if kind in FLOATS:
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 1023)
    if kind is Kind.STRING:
        return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)
    if kind is Kind.ENUM:
        return value in shape.symbols
    return kind is Kind.BYTES and isinstance(value, bytes)
