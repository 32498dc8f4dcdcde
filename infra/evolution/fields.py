"""What becomes of the fields of real records when they are read under another schema than they were written with."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from schemas.codec import named, plain
from schemas.contract import Schema
from schemas.resolution import named_types, unfolded

ALIKE = 0.6  # of difflib's ratio: fw_version and firmware_version have 0.8, temp and temperature 0.53 (but the one is in
# the other), uptime and sequence 0.14
_FAMILIES = {"int": "number", "long": "number", "float": "number", "double": "number", "string": "text", "enum": "text"}
MOST_VALUES = 3


class Leaf(NamedTuple):
    """A field that holds no record. `path` is its names from the outside, "[]" for the items of an array."""

    path: tuple[str, ...]
    family: str
    default: Any = None

    @property
    def shown(self) -> str:
        return ".".join(self.path).replace(".[]", "[]")


def unmatched(reader: Schema, writer: Schema) -> tuple[list[Leaf], list[Leaf]]:
    """(fields of the writer that the reader drops, fields of the reader that are always their default)."""
    new, old = named(plain(reader)), named(plain(writer))
    walk = _Walk(named_types(new), named_types(old))
    walk.records(new, old, ())
    return walk.dropped, walk.defaulted


class _Walk:
    def __init__(self, readers: dict[str, Any], writers: dict[str, Any]) -> None:
        self._readers, self._writers = readers, writers
        self.dropped: list[Leaf] = []
        self.defaulted: list[Leaf] = []
        self._open: set[tuple[str, str]] = set()

    def records(self, new: Schema, old: Schema, path: tuple[str, ...]) -> None:
        pair = new["name"], old["name"]
        if pair in self._open:
            return
        self._open.add(pair)
        before = {field["name"]: field for field in old["fields"]}
        for field in new["fields"]:
            name = next((name for name in (field["name"], *field.get("aliases", ())) if name in before), None)
            if name is None:
                self.defaulted += self._leaves(field["type"], (*path, field["name"]), self._readers, field.get("default"))
            else:
                self._matched(field["type"], before.pop(name)["type"], (*path, field["name"]))
        for name, field in before.items():
            self.dropped += self._leaves(field["type"], (*path, name), self._writers, None)
        self._open.discard(pair)

    def _matched(self, new: Any, old: Any, path: tuple[str, ...]) -> None:
        new, old = _value_type(new, self._readers), _value_type(old, self._writers)
        if new["type"] == old["type"] == "array":
            self._matched(new["items"], old["items"], (*path, "[]"))
        elif new["type"] == old["type"] == "record":
            self.records(new, old, path)

    def _leaves(self, type_: Any, path: tuple[str, ...], types: dict[str, Any], default: Any) -> Iterator[Leaf]:
        found = _value_type(type_, types)
        if found["type"] == "array":
            yield from self._leaves(found["items"], (*path, "[]"), types, None)
        elif found["type"] == "record":
            if len(path) < 20:  # a record within itself
                values = default if isinstance(default, dict) else {}
                for field in found["fields"]:
                    inner = values.get(field["name"], field.get("default"))
                    yield from self._leaves(field["type"], (*path, field["name"]), types, inner)
        else:
            yield Leaf(path, _FAMILIES.get(found["type"], found["type"]), default)


def _value_type(type_: Any, types: dict[str, Any]) -> Any:
    """The type of a value that is there: of a nullable one that of its other branch."""
    found = unfolded(type_, types)
    if isinstance(found, list):
        found = next(
            (branch for branch in (unfolded(one, types) for one in found) if branch["type"] != "null"), {"type": "null"}
        )
    return found


def values_at(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """The values of a leaf in one decoded record; of those within arrays, all."""
    if not path:
        yield value
    elif path[0] == "[]":
        for item in value or ():
            yield from values_at(item, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:])


def renamed(reader: Schema, writer: Schema, written: Sequence[Any]) -> tuple[list[tuple[str, str]], list[str]]:
    """Fields that look renamed without an alias: (path in the reader, message), and notes on those that look less so.

    `written` are values as their writer's schema reads them. A field whose values say no more than the default of the
    new one is no loss.
    """
    dropped, defaulted = unmatched(reader, writer)
    found, notes = [], []
    for old in dropped:
        values = [value for one in written for value in values_at(one, old.path)]
        candidates = [
            new for new in defaulted if new.family == old.family and any(v not in (None, new.default) for v in values)
        ]
        best = max(candidates, key=lambda new: likeness(new.path, old.path), default=None)
        if best is None:
            continue
        shown = ", ".join(dict.fromkeys(repr(v)[:40] for v in values if v not in (None, best.default)))
        says = (
            f"written.{old.shown} is dropped (it holds {_few(shown)}), and {best.shown} is always its default "
            f"{best.default!r} in {len(written)} records"
        )
        if likeness(best.path, old.path) >= ALIKE:
            found.append((best.shown, f"{says}: renamed without an alias?"))
        else:
            notes.append(says)
    return found, notes


def _few(shown: str) -> str:
    parts = shown.split(", ")
    return ", ".join(parts[:MOST_VALUES]) + (", ..." if len(parts) > MOST_VALUES else "")


def likeness(one: Sequence[str], other: Sequence[str]) -> float:
    """How alike two paths are as names, 0 to 1: by the whole path or by the last name, whichever is more."""
    pairs = (("".join(one), "".join(other)), (one[-1], other[-1]))
    return max(_likeness(*map(_bare, pair)) for pair in pairs)


def _likeness(one: str, other: str) -> float:
    if min(len(one), len(other)) > 2 and (one in other or other in one):
        return 1.0
    return difflib.SequenceMatcher(None, one, other).ratio()


def _bare(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def completed(new: Any, old: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Replace in `new` (a value as the reader's schema reads it) whatever the writer had under the same name by what the
    writer had; yields (path, read, written) where the two differ. `new` is changed in place.

    Numbers of different types are equal if they are as numbers, text and bytes if they are as UTF-8.
    """
    for name in new.keys() & old.keys():
        inner = f"{path}.{name}" if path else name
        read, written = new[name], old[name]
        if isinstance(read, dict) and isinstance(written, dict):
            yield from completed(read, written, inner)
        elif isinstance(read, list) and isinstance(written, list) and len(read) == len(written):
            yield from _items(read, written, f"{inner}[]")
        elif not same(read, written):
            yield inner, read, written
            new[name] = like(read, written)


def _items(new: list[Any], old: list[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    for i, (read, written) in enumerate(zip(new, old, strict=True)):
        if isinstance(read, dict) and isinstance(written, dict):
            yield from completed(read, written, path)
        elif not same(read, written):
            yield path, read, written
            new[i] = like(read, written)


def same(read: Any, written: Any) -> bool:
    if isinstance(read, int | float) and isinstance(written, int | float):
        return bool(read == written or (read != read and written != written))  # exact, also between int and float
    return bool(read == like(read, written))


def like(read: Any, written: Any) -> Any:
    """`written` in the type of `read`, as far as that holds it."""
    if isinstance(read, bytes) and isinstance(written, str):
        return written.encode()
    if isinstance(read, str) and isinstance(written, bytes):
        return written.decode("utf-8", "replace")
    return float(written) if isinstance(read, float) and isinstance(written, int) else written
