"""Whether records written under an old schema can be read under a new one (BACKWARD compatibility).

`incompatibilities` follows the Avro specification's schema resolution: a new schema reads all that an old one may have
written. Two things go beyond Avro. A changed logical type is refused, because the number would be read as another
moment. And `tightenings` finds bounds of the contract that old records may lie outside of.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from schemas.contract import Schema
from schemas.resolution import NAMED, PROMOTIONS, Ambiguous, named_types, same_name, unfolded, writers_field
from schemas.shape import BOUND_ATTRIBUTES


class Incompatibility(NamedTuple):
    """`path` is that of the new schema (`readings[].value`; empty: the record itself)."""

    path: str
    message: str


def incompatibilities(reader: Any, writer: Any, logical_types: bool = True) -> list[Incompatibility]:
    """Why `reader` (the new schema) can't read everything written under `writer` (the old one); empty if it can.

    Both have full names (see `codec.named`). Defaults are not checked for their type: `schemas.check` does that.
    Without `logical_types` this is what the specification says and no more.
    """
    return Resolution(reader, writer, logical_types).faults(reader, writer)


class Resolution:
    """Decides for the parts of two schemas. Each pair of named types is looked into once, so that the time is bounded by
    the schemas' sizes, however their types refer to each other."""

    def __init__(self, reader: Any, writer: Any, logical_types: bool = True) -> None:
        self._readers, self._writers = named_types(reader), named_types(writer)
        self._logical_types = logical_types
        self._failed: dict[tuple[str, str], Incompatibility] = {}  # pairs of named types, with their first fault
        self._passed: set[tuple[str, str]] = set()

    def faults(self, reader: Any, writer: Any) -> list[Incompatibility]:
        """As `incompatibilities`, for parts of the schemas.

        A type within itself is taken to be readable until it is found not to be; what was decided on that ground is
        decided anew, until nothing changes.
        """
        while True:
            known = len(self._failed)
            self._passed = set()
            try:
                found = list(self._resolve(reader, writer, ""))
            except RecursionError:
                return [Incompatibility("", "the types are nested too deeply to be compared")]
            if len(self._failed) == known:
                return found

    def _resolve(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        reader, writer = unfolded(reader, self._readers), unfolded(writer, self._writers)
        if isinstance(writer, list):  # any branch may have been written
            for branch in writer:
                yield from self._resolve(reader, branch, path)
        elif isinstance(reader, list):
            if not any(self._fits(branch, writer, path) for branch in reader):
                yield Incompatibility(path, f"no branch of the union reads {_name(writer)}")
        else:
            yield from self._resolve_one(reader, writer, path)

    def _fits(self, reader: Any, writer: Any, path: str) -> bool:
        return next(self._resolve(reader, writer, path), None) is None

    def _resolve_one(self, reader: Schema, writer: Schema, path: str) -> Iterator[Incompatibility]:
        new, old = reader["type"], writer["type"]
        if new != old:
            if new not in PROMOTIONS.get(old, ()):
                yield Incompatibility(path, f"{_name(reader)} does not read {_name(writer)}")
        elif self._logical_types and _logical_type(reader) != _logical_type(writer):
            yield Incompatibility(path, f"the logical type is {_logical_type(reader)}, was {_logical_type(writer)}")
        elif new in NAMED and not same_name(reader, writer):
            yield Incompatibility(path, f"is called {reader['name']}, was {writer['name']}, which is no alias of it")
        elif new in ("record", "error"):
            yield from self._record(reader, writer, path)
        elif new == "enum":
            yield from _enums(reader, writer, path)
        elif new == "fixed" and reader["size"] != writer["size"]:
            yield Incompatibility(path, f"has {reader['size']} bytes, had {writer['size']}")
        elif new == "array":
            yield from self._resolve(reader["items"], writer["items"], f"{path}[]")
        elif new == "map":
            yield from self._resolve(reader["values"], writer["values"], f"{path}{{}}")

    def _record(self, reader: Schema, writer: Schema, path: str) -> Iterator[Incompatibility]:
        """A pair that was looked into already gives its first fault only, at this path."""
        pair = reader["name"], writer["name"]
        if pair not in self._passed:
            self._passed.add(pair)
            found = list(self._fields(reader, writer))
            if found:
                self._failed[pair] = found[0]
        else:
            found = [self._failed[pair]] if pair in self._failed else []
        for fault in found:
            joint = "." if path and fault.path else ""
            yield Incompatibility(f"{path}{joint}{fault.path}", fault.message)

    def _fields(self, reader: Schema, writer: Schema) -> Iterator[Incompatibility]:
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            name = field["name"]
            try:
                old = writers_field(field, written)
            except Ambiguous as error:
                yield Incompatibility(name, str(error))
                continue
            if old is not None:
                yield from self._resolve(field["type"], old["type"], name)
            elif "default" not in field:
                yield Incompatibility(name, "is new and has no default")


def _enums(reader: Schema, writer: Schema, path: str) -> Iterator[Incompatibility]:
    gone = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if gone and reader.get("default") not in reader["symbols"]:
        yield Incompatibility(path, f"the symbols {', '.join(gone)} are gone, and there is no default")


def _logical_type(schema: Schema) -> str:
    """The logical type with what it means by a number."""
    kind = schema.get("logicalType", "none")
    return f"decimal({schema.get('precision')}, {schema.get('scale', 0)})" if kind == "decimal" else str(kind)


def _name(schema: Schema) -> str:
    return f"{schema['type']} {schema['name']}" if "name" in schema else str(schema["type"])


# --- the contract's bounds


def tightenings(reader: Schema, writer: Schema) -> list[Incompatibility]:
    """Where a record that was within the contract under `writer` may be outside of it under `reader`.

    Both are plain avsc. Fields are compared by name; a field that is new, or renamed, is compared with nothing.
    """
    return list(_tightened(reader, writer, ""))


def _tightened(reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
    new, old = record_in(reader), record_in(writer)
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


def record_in(schema: Any) -> Schema | None:
    """The record that a type is, or is an array, nullable or not, of."""
    if isinstance(schema, list):
        return next((found for branch in schema if (found := record_in(branch)) is not None), None)
    if not isinstance(schema, dict):
        return None
    if schema["type"] == "record":
        return schema
    return record_in(schema["items"] if schema["type"] == "array" else schema["type"])
