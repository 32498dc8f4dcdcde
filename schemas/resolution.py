"""What Avro's schema resolution is made of, for those who decide about schemas and for those who read with them.

Source: the Avro specification, "Schema Resolution" and "Aliases"; where it leaves a choice, Apache Avro's Java
implementation, with which a property test holds both users equal. All schemas here have full names (`codec.named`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.contract import Schema

NAMED = frozenset(("record", "error", "enum", "fixed"))
PROMOTIONS: Mapping[str, frozenset[str]] = {
    "int": frozenset(("long", "float", "double")),
    "long": frozenset(("float", "double")),
    "float": frozenset(("double",)),
    "string": frozenset(("bytes",)),
    "bytes": frozenset(("string",)),
}


class Ambiguous(ValueError):
    """A field of the reader is, by its name and its aliases, several fields of the writer."""


def named_types(schema: Any) -> dict[str, Any]:
    """The named types that a schema defines, by full name."""
    found: dict[str, Any] = {}
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            if part["type"] in ("record", "error", "enum", "fixed"):
                found[part["name"]] = part
            waiting += [part[inner] for inner in ("items", "values") if inner in part]
            waiting += [field["type"] for field in part.get("fields", ())]
            waiting.append(part["type"])
    return found


def unfolded(schema: Any, types: Mapping[str, Any]) -> Any:
    """A union as a list, any other type as a dict whose `type` is a string and no reference."""
    while True:
        if isinstance(schema, str):
            return types.get(schema) or {"type": schema}
        if not isinstance(schema, dict):
            return schema
        kind = schema["type"]
        if isinstance(kind, str):
            return types.get(kind, schema)
        schema = kind


def same_name(reader: Schema, writer: Schema) -> bool:
    """Whether two named types may be one: by their names without namespace, or by an alias of the reader's."""
    return reader["name"].rpartition(".")[2] == writer["name"].rpartition(".")[2] or writer["name"] in full_aliases(reader)


def full_aliases(schema: Schema) -> list[str]:
    space = schema["name"].rpartition(".")[0]
    return [alias if "." in alias or not space else f"{space}.{alias}" for alias in schema.get("aliases", ())]


def writers_field(field: Schema, written: Mapping[str, Schema]) -> Schema | None:
    """The writer's field that a field of the reader is read from; None if there is none.

    Raises:
        Ambiguous: there are several.
    """
    names = dict.fromkeys((field["name"], *field.get("aliases", ())))
    found = [written[name] for name in names if name in written]
    if len(found) > 1:
        raise Ambiguous(f"is {' and '.join(old['name'] for old in found)} of the writer, by its aliases")
    return found[0] if found else None


def branch_order(reader: Sequence[Any], writer: Schema, types: Mapping[str, Any]) -> list[Any]:
    """The branches of the reader's union that may read `writer`, the best first: those of its own full name (or of an
    alias), those of its type, those that it can be promoted to."""
    own, same, wider = [], [], []
    for branch in (unfolded(one, types) for one in reader):
        if branch["type"] != writer["type"]:
            if branch["type"] in PROMOTIONS.get(writer["type"], ()):
                wider.append(branch)
        elif branch["type"] not in NAMED:
            same.append(branch)
        elif writer["name"] in (branch["name"], *full_aliases(branch)):
            own.append(branch)
        elif same_name(branch, writer):
            same.append(branch)
    return [*own, *same, *wider]
