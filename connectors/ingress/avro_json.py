"""Avro's JSON encoding of a value (Avro specification, "JSON Encoding") turned into its binary encoding, strictly.

A union other than null is `{"type name": value}`, bytes and fixed are strings of code points up to 255, a named type in a
union goes by its full name. A field that is left out takes its default, if it has one. A function per schema is made once.
"""

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

from schemas.avro_writer import long_bytes
from schemas.codec import BadSchema, parsed
from schemas.shape import INT_MAX, INT_MIN, LONG_MAX, LONG_MIN, shown

Write = Callable[[Any, list[bytes]], None]
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_LARGEST_FLOAT = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_DEEPEST_SCHEMA = 64
MOST_DEFAULTS = 1_000_000  # bytes of all defaults of a schema
MOST_BYTES = 32_000_000  # of a body: a few bytes of JSON may ask for many large defaults


class Misfit(ValueError):
    """A value does not fit its schema. `place` is the path within the value."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.message, self.place = message, place

    def within(self, outer: str) -> "Misfit":
        return Misfit(self.message, outer + self.place)


class JsonWriter:
    """Writes values of one schema.

    Raises:
        BadSchema: it is no Avro schema, or nests too deeply.
    """

    def __init__(self, schema: Any) -> None:
        self.schema = parsed(schema)
        self._named: dict[str, Write] = {}
        self._default_bytes = 0
        self._write = self._writer(self.schema, 0)

    def body(self, value: Any) -> bytes:
        """The Avro body of a value as `json` or msgspec decoded it.

        Raises:
            Misfit: with the place of the fault.
        """
        out: list[bytes] = []
        self._write(value, out)
        size = sum(map(len, out))
        if size > MOST_BYTES:
            raise Misfit(f"has {size} bytes in Avro, more than {MOST_BYTES}")
        return b"".join(out)

    def _writer(self, schema: Any, depth: int) -> Write:
        if depth > _DEEPEST_SCHEMA:
            raise BadSchema("nests too deeply")
        if isinstance(schema, list):
            return self._union(schema, depth)
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, dict | list):
            return self._writer(kind, depth + 1)
        match kind:
            case "record" | "error":
                # A type is defined once: where it comes again it is that of a default.
                return self._named.get(schema["name"]) or self._record(schema, depth)
            case "enum":
                return self._remember(schema, _enum(schema["symbols"]))
            case "fixed":
                return self._remember(schema, _bytes(schema["size"]))
            case "array":
                return _array(self._writer(schema["items"], depth + 1))
            case "map":
                return _map(self._writer(schema["values"], depth + 1))
            case _ if kind in _PRIMITIVES:
                return _PRIMITIVES[kind]
        if kind not in self._named:
            raise BadSchema(f"{kind} is not a type")
        # Looked up at each use: a recursive type is not made yet when its own fields are.
        return lambda value, out: self._named[kind](value, out)

    def _remember(self, schema: dict[str, Any], write: Write) -> Write:
        self._named[schema["name"]] = write
        return write

    def _record(self, schema: dict[str, Any], depth: int) -> Write:
        self._remember(schema, _not_made)
        fields = [
            (field["name"], self._writer(field["type"], depth + 1), self._default(field, depth))
            for field in schema["fields"]
        ]
        names = {name for name, _, _ in fields}

        def write(value: Any, out: list[bytes]) -> None:
            _expect(isinstance(value, dict), "an object", value)
            for name, write_field, default in fields:
                if name in value:
                    try:
                        write_field(value[name], out)
                    except Misfit as fault:
                        raise fault.within(f".{name}") from None
                elif default is None:
                    raise Misfit("is required", f".{name}")
                else:
                    out.append(default)
            for name in value:
                if name not in names:
                    raise Misfit("is not a field", f".{shown(name)[1:-1]}")

        return self._remember(schema, write)

    def _default(self, field: dict[str, Any], depth: int) -> bytes | None:
        """The encoded default of a field; None if it has none. A default of a union is of its first branch."""
        if "default" not in field:
            return None
        kind = field["type"]
        first = kind[0] if isinstance(kind, list) and kind else kind
        out: list[bytes] = [long_bytes(0)] if isinstance(kind, list) else []
        try:
            self._writer(first, depth + 1)(field["default"], out)
        except Misfit as fault:
            raise BadSchema(f"the default of {field['name']}: {fault}") from None
        self._default_bytes += sum(map(len, out))
        if self._default_bytes > MOST_DEFAULTS:
            raise BadSchema(f"its defaults have more than {MOST_DEFAULTS} bytes")
        return b"".join(out)

    def _union(self, branches: list[Any], depth: int) -> Write:
        null: bytes | None = None
        by_name: dict[str, tuple[bytes, Write]] = {}
        for i, branch in enumerate(branches):
            if isinstance(branch, list):
                raise BadSchema("a union holds a union")
            if branch == "null" or branch == {"type": "null"}:
                null = long_bytes(i)
            else:
                by_name[_branch_name(branch)] = long_bytes(i), self._writer(branch, depth + 1)
        expected = "an object with one of the names " + ", ".join(by_name) + (", or null" if null is not None else "")

        def write(value: Any, out: list[bytes]) -> None:
            if value is None and null is not None:
                out.append(null)
                return
            _expect(isinstance(value, dict) and len(value) == 1 and next(iter(value)) in by_name, expected, value)
            ((name, inner),) = value.items()
            index, write_inner = by_name[name]
            out.append(index)
            try:
                write_inner(inner, out)
            except Misfit as fault:
                raise fault.within(f".{name}") from None

        return write


def _branch_name(branch: Any) -> str:
    if isinstance(branch, dict):
        return str(branch["name"] if branch["type"] in ("record", "error", "enum", "fixed") else branch["type"])
    return str(branch)


def _expect(holds: bool, expected: str, value: Any) -> None:
    if not holds:
        raise Misfit(f"expected {expected}, got {shown(value)}")


def _not_made(value: Any, out: list[bytes]) -> None:
    raise BadSchema("a default can't be of the type that it is in")


def _null(value: Any, out: list[bytes]) -> None:
    _expect(value is None, "null", value)


def _boolean(value: Any, out: list[bytes]) -> None:
    _expect(isinstance(value, bool), "a boolean", value)
    out.append(b"\1" if value else b"\0")


def _whole(least: int, most: int, name: str) -> Write:
    def write(value: Any, out: list[bytes]) -> None:
        fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        _expect(fits, f"an integer of {name}", value)
        out.append(long_bytes(value))

    return write


def _real(pack: Callable[[float], bytes], largest: float) -> Write:
    def write(value: Any, out: list[bytes]) -> None:
        _expect(isinstance(value, int | float) and not isinstance(value, bool), "a number", value)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        _expect(abs(number) <= largest, "a number in range", value)
        out.append(pack(number))

    return write


def _string(value: Any, out: list[bytes]) -> None:
    _expect(isinstance(value, str), "a string", value)
    try:
        text = value.encode()
    except UnicodeEncodeError:
        raise Misfit("holds half of a surrogate pair, which is no Unicode text") from None
    out += (long_bytes(len(text)), text)


def _bytes(size: int | None) -> Write:
    def write(value: Any, out: list[bytes]) -> None:
        _expect(isinstance(value, str), "a string of code points up to 255", value)
        try:
            content = value.encode("latin-1")
        except UnicodeEncodeError:
            raise Misfit("holds a code point above 255, which is no byte") from None
        if size is None:
            out.append(long_bytes(len(content)))
        elif len(content) != size:
            raise Misfit(f"has {len(content)} bytes, not {size}")
        out.append(content)

    return write


def _enum(symbols: Sequence[str]) -> Write:
    codes = {symbol: long_bytes(i) for i, symbol in enumerate(symbols)}

    def write(value: Any, out: list[bytes]) -> None:
        _expect(isinstance(value, str) and value in codes, f"one of {', '.join(codes)}", value)
        out.append(codes[value])

    return write


def _array(write_item: Write) -> Write:
    def write(value: Any, out: list[bytes]) -> None:
        _expect(isinstance(value, list), "an array", value)
        if value:
            out.append(long_bytes(len(value)))
        for i, item in enumerate(value):
            try:
                write_item(item, out)
            except Misfit as fault:
                raise fault.within(f"[{i}]") from None
        out.append(b"\0")

    return write


def _map(write_value: Write) -> Write:
    def write(value: Any, out: list[bytes]) -> None:
        _expect(isinstance(value, dict), "an object", value)
        if value:
            out.append(long_bytes(len(value)))
        for name, item in value.items():
            _string(name, out)
            try:
                write_value(item, out)
            except Misfit as fault:
                raise fault.within(f".{shown(name)[1:-1]}") from None
        out.append(b"\0")

    return write


_PRIMITIVES: dict[str, Write] = {
    "null": _null,
    "boolean": _boolean,
    "int": _whole(INT_MIN, INT_MAX, "32 bits"),
    "long": _whole(LONG_MIN, LONG_MAX, "64 bits"),
    "float": _real(_FLOAT.pack, _LARGEST_FLOAT),
    "double": _real(_DOUBLE.pack, 1.7976931348623157e308),
    "string": _string,
    "bytes": _bytes(None),
}
