"""Whether records written under an old schema can be read under a new one (BACKWARD compatibility).

`incompatibilities` follows the Avro specification's schema resolution: a new schema reads all that an old one may have
written. Two things go beyond Avro. A changed logical type is refused, because the number would be read as another
moment. And `tightenings` finds bounds of the contract that old records may lie outside of.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from schemas.contract import Schema
from schemas.shape import BOUND_ATTRIBUTES


class Incompatibility(NamedTuple):
    """`path` is that of the new schema (`readings[].value`; empty: the record itself)."""

    path: str
    message: str


_PROMOTIONS: Mapping[str, frozenset[str]] = {
    "int": frozenset(("long", "float", "double")),
    "long": frozenset(("float", "double")),
    "float": frozenset(("double",)),
    "string": frozenset(("bytes",)),
    "bytes": frozenset(("string",)),
}
_NAMED = frozenset(("record", "error", "enum", "fixed"))


def incompatibilities(reader: Any, writer: Any) -> list[Incompatibility]:
    """Why `reader` (the new schema) can't read everything written under `writer` (the old one); empty if it can.

    Both have full names (see `codec.named`). Defaults are not checked for their type: `schemas.check` does that.
    """
    return list(_Resolver(reader, writer).resolve(reader, writer, ""))


class _Resolver:
    def __init__(self, reader: Any, writer: Any) -> None:
        self._readers: dict[str, Any] = {}
        self._writers: dict[str, Any] = {}
        _collect(reader, self._readers)
        _collect(writer, self._writers)
        self._open: set[tuple[str, str]] = set()  # pairs of named types that are being compared further out

    def resolve(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        reader, writer = _type(reader, self._readers), _type(writer, self._writers)
        if isinstance(writer, list):  # any branch may have been written
            for branch in writer:
                yield from self.resolve(reader, branch, path)
        elif isinstance(reader, list):
            if not any(self._fits(branch, writer, path) for branch in reader):
                yield Incompatibility(path, f"no branch of the union reads {_name(writer)}")
        else:
            yield from self._resolve_one(reader, writer, path)

    def _fits(self, reader: Any, writer: Any, path: str) -> bool:
        return next(self.resolve(reader, writer, path), None) is None

    def _resolve_one(self, reader: Schema, writer: Schema, path: str) -> Iterator[Incompatibility]:
        new, old = reader["type"], writer["type"]
        if new != old:
            if new not in _PROMOTIONS.get(old, ()):
                yield Incompatibility(path, f"{_name(reader)} does not read {_name(writer)}")
        elif reader.get("logicalType") != writer.get("logicalType"):
            kinds = reader.get("logicalType", "none"), writer.get("logicalType", "none")
            yield Incompatibility(path, f"the logical type is {kinds[0]}, was {kinds[1]}")
        elif new in _NAMED and not _same_name(reader, writer):
            yield Incompatibility(path, f"is called {reader['name']}, was {writer['name']}, which is no alias of it")
        elif new in ("record", "error"):
            yield from self._records(reader, writer, path)
        elif new == "enum":
            yield from _enums(reader, writer, path)
        elif new == "fixed" and reader["size"] != writer["size"]:
            yield Incompatibility(path, f"has {reader['size']} bytes, had {writer['size']}")
        elif new == "array":
            yield from self.resolve(reader["items"], writer["items"], f"{path}[]")
        elif new == "map":
            yield from self.resolve(reader["values"], writer["values"], f"{path}{{}}")

    def _records(self, reader: Schema, writer: Schema, path: str) -> Iterator[Incompatibility]:
        pair = reader["name"], writer["name"]
        if pair in self._open:
            return
        self._open.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            inner = f"{path}.{field['name']}" if path else field["name"]
            names = (field["name"], *field.get("aliases", ()))
            old = next((written[name] for name in names if name in written), None)
            if old is not None:
                yield from self.resolve(field["type"], old["type"], inner)
            elif "default" not in field:
                yield Incompatibility(inner, "is new and has no default")
        self._open.discard(pair)


def _enums(reader: Schema, writer: Schema, path: str) -> Iterator[Incompatibility]:
    gone = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if gone and reader.get("default") not in reader["symbols"]:
        yield Incompatibility(path, f"the symbols {', '.join(gone)} are gone, and there is no default")


def _same_name(reader: Schema, writer: Schema) -> bool:
    space = reader["name"].rpartition(".")[0]
    aliases = (alias if "." in alias or not space else f"{space}.{alias}" for alias in reader.get("aliases", ()))
    return writer["name"] in (reader["name"], *aliases)


def _type(schema: Any, named: Mapping[str, Any]) -> Any:
    """A union as a list, any other type as a dict whose `type` is a string."""
    if isinstance(schema, str):
        return named.get(schema) or {"type": schema}
    if isinstance(schema, dict) and isinstance(schema["type"], dict | list):
        return _type(schema["type"], named)
    if isinstance(schema, dict) and schema["type"] in named:
        return named[schema["type"]]
    return schema


def _collect(schema: Any, named: dict[str, Any]) -> None:
    if isinstance(schema, list):
        for branch in schema:
            _collect(branch, named)
    elif isinstance(schema, dict):
        if schema["type"] in ("record", "error", "enum", "fixed"):
            named[schema["name"]] = schema
        inner = [schema[part] for part in ("items", "values") if part in schema]
        inner += [field["type"] for field in schema.get("fields", ())]
        for part in [*inner, schema["type"]]:
            _collect(part, named)


def _name(schema: Schema) -> str:
    return f"{schema['type']} {schema['name']}" if "name" in schema else str(schema["type"])


# --- the contract's bounds


def tightenings(reader: Schema, writer: Schema) -> list[Incompatibility]:
    """Where a record that was within the contract under `writer` may be outside of it under `reader`.

    Both are plain avsc. Fields are compared by name; a field that is new, or renamed, is compared with nothing.
    """
    return list(_tightened(reader, writer, ""))


def _tightened(reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
    new, old = _record_in(reader), _record_in(writer)
    if new is None or old is None:
        return
    before = {field["name"]: field for field in old["fields"]}
    for field in new["fields"]:
        was = before.get(field["name"])
        if was is not None:
            inner = f"{path}.{field['name']}" if path else field["name"]
            for name in BOUND_ATTRIBUTES:
                if name in field and _is_tighter(name, field[name], was.get(name)):
                    yield Incompatibility(inner, f"{name} is {field[name]}, was {was.get(name, 'none')}")
            yield from _tightened(field["type"], was["type"], inner)


def _is_tighter(name: str, new: Any, old: Any) -> bool:
    if name in ("pattern", "format"):
        return bool(new != old)
    if old is None:
        return True
    return bool(new > old if name.startswith("min") else new < old)


def _record_in(schema: Any) -> Schema | None:
    """The record that a type is, or is an array, nullable or not, of."""
    if isinstance(schema, list):
        return next((found for branch in schema if (found := _record_in(branch)) is not None), None)
    if not isinstance(schema, dict):
        return None
    if schema["type"] == "record":
        return schema
    return _record_in(schema["items"] if schema["type"] == "array" else schema["type"])
