"""Reads Avro bodies of one schema into the values of another, compiled from both: Avro's schema resolution, strictly.

What `avro_reader` refuses is refused here too, also within fields that the reader's schema does not have. Bytes read as
a string must be UTF-8. A value that the reader's schema has no place for (a symbol, a branch of a union) is refused when
it comes, as other values of the same schema may be well.
"""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from schemas.avro_reader import Compiler, Read, Undecodable, read_blocks, read_branch, read_map, whole_body
from schemas.compatibility import Resolution
from schemas.contract import Schema
from schemas.resolution import NAMED, PROMOTIONS, Ambiguous, branch_order, named_types, same_name, unfolded, writers_field

_FLOAT = struct.Struct("<f")


def compile_resolver(writer: Any, reader: Any) -> Callable[[bytes], Any]:
    """A function from a whole body of `writer` to its value under `reader`; it raises Undecodable.

    Both are schemas with full names.

    Raises:
        BadSchema: see `avro_reader.compile_reader`.
    """
    return whole_body(_Resolver(writer, reader).resolve(writer, reader))


class _Resolver:
    def __init__(self, writer: Any, reader: Any) -> None:
        self._writers, self._readers = named_types(writer), named_types(reader)
        self._decisions = Resolution(reader, writer, logical_types=False)
        self._plain = Compiler()
        self._plain.reader(writer)  # refuses what can't be read safely, and knows all named types afterwards
        self._made: dict[tuple[str, str], Read] = {}
        self._open: set[tuple[str, str]] = set()

    def resolve(self, writer: Any, reader: Any) -> Read:
        writer, reader = unfolded(writer, self._writers), unfolded(reader, self._readers)
        if isinstance(writer, list):
            return self._branches([self.resolve(branch, reader) for branch in writer])
        if isinstance(reader, list):
            reader = self._branch(writer, reader)
            if reader is None:
                return self._refusing(f"no branch of the reader's union takes {_called(writer)}")
        old, new = writer["type"], reader["type"]
        if old != new:
            if new in PROMOTIONS.get(old, ()):
                return _promoting(self._plain.reader(old), old, new)
            return self._refusing(f"{_called(reader)} does not read {_called(writer)}")
        if old in NAMED and not same_name(reader, writer):
            return self._refusing(f"{_called(reader)} does not read {_called(writer)}")
        return self._same(writer, reader, old)

    def _same(self, writer: Schema, reader: Schema, kind: str) -> Read:
        match kind:
            case "record" | "error":
                return self._named(writer, reader)
            case "enum":
                return self._enum(writer, reader)
            case "fixed":
                if writer["size"] != reader["size"]:
                    return self._refusing(f"{reader['name']} has {reader['size']} bytes, not {writer['size']}")
                return self._plain.reader(writer["name"])
            case "array":
                return read_blocks(self.resolve(writer["items"], reader["items"]))
            case "map":
                return read_map(self.resolve(writer["values"], reader["values"]))
        return self._plain.reader(kind)

    def _branch(self, writer: Schema, reader: list[Any]) -> Any:
        order = branch_order(reader, writer, self._readers)
        if len(order) < 2:
            return order[0] if order else None
        return next((one for one in order if not self._decisions.faults(one, writer)), order[0])

    def _named(self, writer: Schema, reader: Schema) -> Read:
        """A record; one that holds itself finds its own reader at run time."""
        pair = writer["name"], reader["name"]
        if pair in self._open:
            return lambda body, at: self._made[pair](body, at)
        if pair not in self._made:
            self._open.add(pair)
            self._made[pair] = self._record(writer, reader)
            self._open.discard(pair)
        return self._made[pair]

    def _record(self, writer: Schema, reader: Schema) -> Read:
        written = {field["name"]: field for field in writer["fields"]}
        read_as: dict[str, list[Schema]] = {}
        defaults: list[tuple[str, Callable[[], Any]]] = []
        for field in reader["fields"]:
            try:
                old = writers_field(field, written)
            except Ambiguous as error:
                return self._refusing(f"{field['name']}: {error}")
            if old is not None:
                read_as.setdefault(old["name"], []).append(field)
            elif "default" in field:
                defaults.append((field["name"], self._new_default(field["type"], field["default"])))
            else:
                return self._refusing(f"{field['name']}: is new and has no default")
        parts = [(field["name"], self._field(field, read_as.get(field["name"], []))) for field in writer["fields"]]
        names = tuple(field["name"] for field in reader["fields"])
        return _record_reader(parts, defaults, names)

    def _field(self, old: Schema, fields: list[Schema]) -> list[tuple[str | None, Read]]:
        """Under which names a writer's field is read, and how; None where the reader does not have it."""
        read: list[tuple[str | None, Read]] = [(field["name"], self.resolve(old["type"], field["type"])) for field in fields]
        return read or [(None, self._plain.reader(old["type"]))]

    def _enum(self, writer: Schema, reader: Schema) -> Read:
        symbols, known, default = writer["symbols"], frozenset(reader["symbols"]), reader.get("default")
        read = self._plain.reader(writer["name"])
        if known.issuperset(symbols):
            return read

        def adjusted(body: bytes, at: int) -> tuple[Any, int]:
            symbol, at = read(body, at)
            if symbol in known:
                return symbol, at
            if default not in known:
                raise Undecodable(f"does not resolve to the reader schema: {reader['name']} has no symbol {symbol}")
            return default, at

        return adjusted

    def _branches(self, reads: list[Read]) -> Read:
        def read(body: bytes, at: int) -> tuple[Any, int]:
            number, at = read_branch(body, at, len(reads))
            return reads[number](body, at)

        return read

    @staticmethod
    def _refusing(why: str) -> Read:
        def refuse(_body: bytes, _at: int) -> tuple[Any, int]:
            raise Undecodable(f"does not resolve to the reader schema: {why}")

        return refuse

    def _new_default(self, schema: Any, value: Any) -> Callable[[], Any]:
        """A function that makes a default's value anew, as lists and dicts belong to whoever gets them."""
        made = self._default(unfolded(schema, self._readers), value)
        return (lambda: _copied(made)) if isinstance(made, dict | list) else lambda: made

    def _default(self, schema: Any, value: Any) -> Any:
        if isinstance(schema, list):
            branches = [unfolded(branch, self._readers) for branch in schema]
            return self._default(next((one for one in branches if _is_of(one, value)), branches[0]), value)
        match schema["type"]:
            case "bytes" | "fixed":
                return value.encode("latin-1")
            case "float":
                return _FLOAT.unpack(_FLOAT.pack(value))[0]
            case "double":
                return float(value)
            case "array":
                return [self._default(unfolded(schema["items"], self._readers), item) for item in value]
            case "map":
                inner = unfolded(schema["values"], self._readers)
                return {key: self._default(inner, item) for key, item in value.items()}
            case "record" | "error":
                return {
                    field["name"]: self._default(
                        unfolded(field["type"], self._readers), value.get(field["name"], field.get("default"))
                    )
                    for field in schema["fields"]
                }
        return value


def _record_reader(
    parts: list[tuple[str, list[tuple[str | None, Read]]]],
    defaults: list[tuple[str, Callable[[], Any]]],
    names: tuple[str, ...],
) -> Read:
    """`parts`: name in the writer's schema; name in the reader's (None: dropped) and how it is read, for each field of
    the reader that is read from there; in written order."""
    flat = [(old, new, read, place == len(news) - 1) for old, news in parts for place, (new, read) in enumerate(news)]
    ordered = tuple(new for _, new, _, _ in flat if new is not None) + tuple(name for name, _ in defaults) == names

    def read(body: bytes, at: int) -> tuple[dict[str, Any], int]:
        values = {}
        for old, new, part, last in flat:
            try:
                value, end = part(body, at)
            except Undecodable as fault:
                raise fault.within(old) from None
            if new is not None:
                values[new] = value
            if last:
                at = end
        for name, make in defaults:
            values[name] = make()
        return (values if ordered else {name: values[name] for name in names}), at

    return read


def _promoting(read: Read, old: str, new: str) -> Read:
    if new == "string":

        def text(body: bytes, at: int) -> tuple[Any, int]:
            raw, end = read(body, at)
            try:
                return raw.decode("utf-8"), end
            except UnicodeDecodeError as error:
                raise Undecodable(f"bytes read as a string are not UTF-8 at byte {error.start}") from None

        return text
    change: dict[str, Callable[[Any], Any]] = {"bytes": str.encode, "double": float, "long": int}
    convert = change.get(new, _to_float)
    if old == "float" or new == "long":
        return read

    def promoted(body: bytes, at: int) -> tuple[Any, int]:
        value, end = read(body, at)
        return convert(value), end

    return promoted


def _to_float(number: int) -> float:
    """The nearest float of 32 bits, rounded once."""
    return float(np.float32(np.int64(number)))


def _is_of(schema: Any, value: Any) -> bool:
    """Whether a default in JSON may be of a type."""
    kinds: dict[str, Any] = {"null": type(None), "boolean": bool, "array": list, "map": dict, "record": dict, "error": dict}
    kind = schema["type"]
    if kind in ("int", "long"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in ("float", "double"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "enum":
        return value in schema["symbols"]
    return isinstance(value, kinds.get(kind, str))


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _called(schema: Any) -> str:
    return str(schema.get("name", schema["type"]))
