"""A strict reader of Avro bodies, compiled from a schema: the reference for what a body says, and whether it is one.

It accepts exactly what the Avro specification defines. Each of the following, which common readers let pass, is refused:
bytes after the end, a union or enum index out of range or negative, a boolean byte other than 0 and 1, an int or long
that does not fit, a block whose byte count is wrong. A length is compared with the bytes that are left before anything
is allocated, so hostile bytes cost no memory. Logical types are ignored: a timestamp is its integer.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from schemas.avro_empties import Empties, TooManyEmpties
from schemas.shape import INT_MAX, INT_MIN, shown

MOST_VARINT_BYTES = 10
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")

Read = Callable[[bytes, int], tuple[Any, int]]
"""Reads a value from (body, position); returns it and the position after it."""


class Undecodable(ValueError):
    """The bytes are not a value of the schema. `place` is the path of the fault within the record, may be empty."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.message, self.place = message, place

    def within(self, outer: str) -> "Undecodable":
        """The same fault, seen from one level further out."""
        joint = "." if self.place and not self.place.startswith("[") else ""
        return Undecodable(self.message, f"{outer}{joint}{self.place}")


class BadSchema(ValueError):
    """A schema can't be read with."""


Finish = Callable[[Any, Read], Read]
"""Given a type's schema and its reader, the reader to use in its place: how to read logical types."""


def as_it_is(schema: Any, read: Read) -> Read:
    """Finish nothing: a logical type is what it is written as."""
    return read


def compile_reader(parsed: Any, finish: Finish = as_it_is) -> Callable[[bytes], Any]:
    """A function from a whole body to its value; it raises Undecodable.

    `parsed` is a schema whose names are resolved to full names (fastavro.parse_schema does that). `finish` is asked for
    every primitive and fixed type.

    Raises:
        BadSchema: it has an array of items that take no bytes, or too many values that take none (see `avro_empties`), or a
            type that Avro does not have.
    """
    return whole_body(Compiler(finish).reader(parsed))


def whole_body(read: Read) -> Callable[[bytes], Any]:
    """A function from a whole body to its value; bytes after the value are refused."""

    def whole(body: bytes) -> Any:
        try:
            value, end = read(body, 0)
        except RecursionError:
            raise Undecodable("is nested too deeply") from None
        if end != len(body):
            raise Undecodable(f"{len(body) - end} bytes are left over after the record's end")
        return value

    return whole


def read_long(body: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint of at most 64 bits."""
    if at < len(body) and body[at] < 0x80:  # most are of one byte
        return (body[at] >> 1) ^ -(body[at] & 1), at + 1
    number = shift = 0
    for end in range(at, min(at + MOST_VARINT_BYTES, len(body))):
        byte = body[end]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number >> 64:
                raise Undecodable("an integer of more than 64 bits")
            return (number >> 1) ^ -(number & 1), end + 1
        shift += 7
    if len(body) - at >= MOST_VARINT_BYTES:
        raise Undecodable("an integer of more than 10 bytes")
    raise Undecodable("the bytes end within an integer")


def _read_int(body: bytes, at: int) -> tuple[int, int]:
    number, end = read_long(body, at)
    if not INT_MIN <= number <= INT_MAX:
        raise Undecodable(f"{number} does not fit into an int of 32 bits")
    return number, end


def read_branch(body: bytes, at: int, branches: int) -> tuple[int, int]:
    """The number of a union's branch."""
    index, at = read_long(body, at)
    if not 0 <= index < branches:
        raise Undecodable(f"{index} is not the number of one of {branches} branches")
    return index, at


def _read_null(_body: bytes, at: int) -> tuple[None, int]:
    return None, at


def _read_boolean(body: bytes, at: int) -> tuple[bool, int]:
    if at >= len(body):
        raise Undecodable("the bytes end where a boolean should be")
    if body[at] > 1:
        raise Undecodable(f"{body[at]:#04x} is no boolean")
    return body[at] == 1, at + 1


def _read_float(body: bytes, at: int) -> tuple[float, int]:
    return _FLOAT.unpack_from(body, _room(body, at, 4) - 4)[0], at + 4


def _read_double(body: bytes, at: int) -> tuple[float, int]:
    return _DOUBLE.unpack_from(body, _room(body, at, 8) - 8)[0], at + 8


def _room(body: bytes, at: int, size: int) -> int:
    """The position after `size` bytes from `at`, which must be there."""
    if size < 0:
        raise Undecodable(f"a negative length, {size}")
    if size > len(body) - at:
        raise Undecodable(f"needs {size} bytes, {len(body) - at} are left")
    return at + size


def _read_bytes(body: bytes, at: int) -> tuple[bytes, int]:
    size, start = read_long(body, at)
    end = _room(body, start, size)
    return body[start:end], end


def _read_string(body: bytes, at: int) -> tuple[str, int]:
    raw, end = _read_bytes(body, at)
    try:
        return raw.decode("utf-8"), end
    except UnicodeDecodeError as error:
        raise Undecodable(f"is not UTF-8 at its byte {error.start}") from None


_PRIMITIVES: Mapping[str, Read] = {
    "null": _read_null,
    "boolean": _read_boolean,
    "int": _read_int,
    "long": read_long,
    "float": _read_float,
    "double": _read_double,
    "bytes": _read_bytes,
    "string": _read_string,
}


class Compiler:
    """Makes readers of types. It holds the named ones: a type within itself finds its own reader there at run time."""

    def __init__(self, finish: Finish = as_it_is) -> None:
        self._finish = finish
        self._named: dict[str, Read] = {}
        self._schemas: dict[str, Any] = {}
        self._empties = Empties()

    def reader(self, schema: Any) -> Read:
        if isinstance(schema, list):
            return self._union(schema)
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, dict | list):
            return self.reader(kind)
        if kind in _PRIMITIVES:
            return self._finish(schema, _PRIMITIVES[kind])
        match kind:
            case "record" | "error":
                return self._name(schema, self._record)
            case "enum":
                return self._name(schema, self._enum)
            case "fixed":
                return self._name(schema, self._fixed)
            case "array":
                self._refuse_empties(schema["items"], repeated=True)
                if self._empties.measured(schema["items"])[1]:
                    raise BadSchema("an array of items that take no bytes: a few bytes could ask for endless many")
                return read_blocks(self.reader(schema["items"]))
            case "map":
                self._refuse_empties(schema["values"], repeated=True)
                return read_map(self.reader(schema["values"]))
        if kind not in self._schemas:
            raise BadSchema(f"unknown type {shown(kind)}")
        if kind not in self._named:  # it is within itself
            self._refuse_empties(kind, repeated=True)
        return lambda body, at: self._named[kind](body, at)

    def _name(self, schema: Any, compile_: Callable[[Any], Read]) -> Read:
        self._schemas[schema["name"]] = schema
        self._refuse_empties(schema, repeated=False)
        made = compile_(schema)
        self._named[schema["name"]] = made
        return made

    def _record(self, schema: Any) -> Read:
        parts = [(field["name"], self.reader(field["type"])) for field in schema["fields"]]

        def read(body: bytes, at: int) -> tuple[dict[str, Any], int]:
            values = {}
            for name, part in parts:
                try:
                    values[name], at = part(body, at)
                except Undecodable as fault:
                    raise fault.within(name) from None
            return values, at

        return read

    def _enum(self, schema: Any) -> Read:
        symbols = tuple(schema["symbols"])

        def read(body: bytes, at: int) -> tuple[str, int]:
            index, at = read_long(body, at)
            if not 0 <= index < len(symbols):
                raise Undecodable(f"{index} is not the number of one of {len(symbols)} symbols")
            return symbols[index], at

        return read

    def _fixed(self, schema: Any) -> Read:
        size = schema["size"]
        return self._finish(schema, lambda body, at: (body[at : _room(body, at, size)], at + size))

    def _union(self, branches: list[Any]) -> Read:
        readers = [self.reader(branch) for branch in branches]

        def read(body: bytes, at: int) -> tuple[Any, int]:
            index, at = read_branch(body, at, len(readers))
            return readers[index](body, at)

        return read

    def _refuse_empties(self, schema: Any, repeated: bool) -> None:
        """Raises BadSchema: a few bytes would be read as very many values."""
        try:
            self._empties.check(schema, repeated)
        except TooManyEmpties as error:
            raise BadSchema(str(error)) from None


def _block(body: bytes, at: int) -> tuple[int, int, int | None]:
    """The head of a block: item count, position after the head, and where the block ends if it says so."""
    count, at = read_long(body, at)
    if count >= 0:
        return count, at, None
    size, at = read_long(body, at)
    return -count, at, _room(body, at, size)


def read_blocks(item: Read) -> Read:
    def read(body: bytes, at: int) -> tuple[list[Any], int]:
        values: list[Any] = []
        while True:
            count, at, end = _block(body, at)
            if count == 0 and end is None:
                return values, at
            if count > len(body) - at:
                raise Undecodable(f"a block of {count} items in {len(body) - at} bytes")
            for _ in range(count):
                try:
                    value, at = item(body, at)
                except Undecodable as fault:
                    raise fault.within(f"[{len(values)}]") from None
                values.append(value)
            if end not in (None, at):
                raise Undecodable("a block is not as long as it says")

    return read


def read_map(value: Read) -> Read:
    def pair(body: bytes, at: int) -> tuple[tuple[str, Any], int]:
        key, at = _read_string(body, at)
        found, at = value(body, at)
        return (key, found), at

    pairs = read_blocks(pair)

    def read(body: bytes, at: int) -> tuple[dict[str, Any], int]:
        found, at = pairs(body, at)
        return dict(found), at

    return read
