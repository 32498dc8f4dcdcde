"""What changed between two versions of a record type, field by field, and what each compatibility level says of it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.codec import parsed
from schemas.compatibility import record_in
from schemas.contract import RecordType, Schema
from schemas.released import RULES, problems
from schemas.shape import BOUND_ATTRIBUTES

ATTRIBUTES = (*BOUND_ATTRIBUTES, "unit", "origin", "order")


class Difference(NamedTuple):
    """`path` is the field's in the newer version (removed: in the older one); empty is the record itself. `kind` is one
    of added, removed, renamed, type, default, attribute, aliases, doc, order."""

    path: str
    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def differences(new: Schema, old: Schema) -> list[Difference]:
    """All that differs between two avscs of a record type."""
    found = list(_record(new, old, ""))
    for name in ("name", "namespace"):
        if new.get(name) != old.get(name):
            found.append(Difference("", "renamed", f"the {name} is {new.get(name)}, was {old.get(name)}"))
    return found


def canonical_fingerprint(schema: Schema) -> str:
    """Avro's fingerprint, CRC-64-AVRO in hex, of the parsing canonical form: equal where the bytes are laid out alike."""
    return str(fingerprint(to_parsing_canonical_form(parsed(schema)), "CRC-64-AVRO"))


def verdicts(record: RecordType, released: Mapping[int, Schema]) -> dict[str, list[str]]:
    """For each compatibility level why it would refuse the record type after these versions; nothing if it would not."""
    return {
        level: [
            f"version {version}: {fault.path}: {fault.message}" if fault.path else f"version {version}: {fault.message}"
            for version, fault in problems(record, released, level)
        ]
        for level in RULES
    }


def _record(new: Schema, old: Schema, path: str) -> Iterator[Difference]:
    yield from _words(new, old, path)
    before = {field["name"]: field for field in old["fields"]}
    kept: list[str] = []
    for field in new["fields"]:
        inner = f"{path}.{field['name']}" if path else field["name"]
        was = next((before[name] for name in (field["name"], *field.get("aliases", ())) if name in before), None)
        if was is None:
            yield Difference(inner, "added", f"is new: {_type(field['type'])}, {_default(field)}")
            continue
        kept.append(was["name"])
        yield from _field(field, was, inner)
    for name, field in before.items():
        if name not in kept:
            yield Difference(f"{path}.{name}" if path else name, "removed", f"is gone: {_type(field['type'])}")
    if kept != [name for name in before if name in kept]:
        yield Difference(path, "order", "the fields stand in another order")


def _field(new: Schema, old: Schema, path: str) -> Iterator[Difference]:
    if new["name"] != old["name"]:
        yield Difference(path, "renamed", f"was called {old['name']}")
    inner = record_in(new["type"]), record_in(old["type"])
    if _type(new["type"]) != _type(old["type"]):
        yield Difference(path, "type", f"is {_type(new['type'])}, was {_type(old['type'])}")
    if _default(new) != _default(old):
        yield Difference(path, "default", f"{_default(new)}, was {_default(old)}")
    for name in ATTRIBUTES:
        if new.get(name) != old.get(name):
            yield Difference(path, "attribute", f"{name} is {new.get(name, 'none')}, was {old.get(name, 'none')}")
    yield from _words(new, old, path)
    if inner[0] is not None and inner[1] is not None:
        yield from _record(inner[0], inner[1], path)


def _words(new: Schema, old: Schema, path: str) -> Iterator[Difference]:
    if new.get("aliases", []) != old.get("aliases", []):
        yield Difference(path, "aliases", f"aliases are {_list(new)}, were {_list(old)}")
    if new.get("doc") != old.get("doc"):
        yield Difference(path, "doc", f"says {new.get('doc', '')!r}, said {old.get('doc', '')!r}")


def _list(field: Schema) -> str:
    return ", ".join(field.get("aliases", ())) or "none"


def _default(field: Schema) -> str:
    return f"default {json.dumps(field['default'], ensure_ascii=False)}" if "default" in field else "no default"


def _type(declared: Any) -> str:
    """A type in a line; of a record only its name, as its fields are compared one by one."""
    if isinstance(declared, list):
        return " or ".join(_type(branch) for branch in declared)
    if not isinstance(declared, dict):
        return str(declared)
    kind = declared["type"]
    if not isinstance(kind, str):
        return _type(kind)
    if kind in ("array", "map"):
        return f"{kind} of {_type(declared['items' if kind == 'array' else 'values'])}"
    if kind == "enum":
        default = f", else {declared['default']}" if "default" in declared else ""
        return f"enum {declared['name']} ({', '.join(declared['symbols'])}{default})"
    if kind == "fixed":
        return f"fixed {declared['name']} of {declared['size']} bytes"
    if kind in ("record", "error"):
        return f"{kind} {declared['name']}"
    logical = declared.get("logicalType")
    more = f"({declared['precision']}, {declared.get('scale', 0)})" if logical == "decimal" else ""
    return f"{kind} as {logical}{more}" if logical else kind
