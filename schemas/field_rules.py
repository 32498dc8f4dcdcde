"""The rules that the fields of an avsc keep: documentation, known attributes, bounds that make sense."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from schemas.contract import Schema
from schemas.shape import BOUND_ATTRIBUTES

AVRO_ATTRIBUTES = frozenset(("name", "type", "doc", "default", "aliases", "order"))
KNOWN = AVRO_ATTRIBUTES | frozenset((*BOUND_ATTRIBUTES, "origin", "unit"))
FORMATS = ("json-object",)
ORIGINS = ("server", "device")

_NUMBERS = frozenset(("int", "long", "float", "double"))
_TEXTS = frozenset(("string", "bytes"))
_APPLIES: Mapping[str, frozenset[str]] = {
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "unit": _NUMBERS,
    "minLength": _TEXTS,
    "maxLength": _TEXTS,
    "pattern": frozenset(("string",)),
    "format": frozenset(("string",)),
    "minItems": frozenset(("array",)),
    "maxItems": frozenset(("array",)),
    "itemMaxLength": frozenset(("array",)),
}
_PAIRS = (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"))


def faults(schema: Schema, path: str = "") -> Iterator[tuple[str, str]]:
    """(path of the field, what is wrong) for a record and the records within it."""
    if not schema.get("doc"):
        yield path, "the record has no doc"
    for field in schema["fields"]:
        inner = f"{path}.{field['name']}" if path else field["name"]
        for message in _field(field):
            yield inner, message
        for nested in _records(field["type"]):
            yield from faults(nested, inner)


def _field(field: Schema) -> Iterator[str]:
    if not field.get("doc"):
        yield "has no doc"
    for name in sorted(field.keys() - KNOWN):
        yield f"{name} is no attribute of Avro or of the contract"
    if field.get("origin", "device") not in ORIGINS:
        yield f"origin is {field['origin']!r}, none of {', '.join(ORIGINS)}"
    kind = _kind(field["type"])
    for name, kinds in _APPLIES.items():
        if name in field and kind not in kinds:
            yield f"{name} says nothing about a value of type {kind}"
    if not (isinstance(field.get("unit", "?"), str) and field.get("unit", "?")):
        yield "unit is to be a name such as milliseconds"
    yield from _bounds(field)
    if "default" in field:
        yield from _default(field)


def _bounds(field: Schema) -> Iterator[str]:
    if not all(_is_bound(field[name]) for name in BOUND_ATTRIBUTES if name in field and name not in ("pattern", "format")):
        yield "a bound is to be a number"
        return
    for low, high in _PAIRS:
        if low in field and high in field and field[low] > field[high]:
            yield f"{low} is above {high}"
    if "format" in field and field["format"] not in FORMATS:
        yield f"format is {field['format']!r}, none of {', '.join(FORMATS)}"
    if "pattern" in field:
        yield from _pattern(field["pattern"])


def _is_bound(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _pattern(pattern: Any) -> Iterator[str]:
    """A pattern is used by Python, by polars (Rust) and, in JSON Schema, by JavaScript."""
    if not isinstance(pattern, str) or not (pattern.startswith("^") and pattern.endswith("$")):
        yield "pattern is to describe the whole value, from ^ to $"
        return
    try:
        re.compile(pattern)
        pl.Series([""]).str.contains(pattern)
    except (re.error, pl.exceptions.ComputeError) as error:
        yield f"pattern is not one for every reader: {error}"


def _default(field: Schema) -> Iterator[str]:
    kind, default = field["type"], field["default"]
    first = kind[0] if isinstance(kind, list) else kind
    if not _is_default(first, default):
        yield f"the default {default!r} is not of the type {_kind(first)}" + (
            ", the union's first" if isinstance(kind, list) else ""
        )


def _is_default(kind: Any, value: Any) -> bool:
    if isinstance(kind, dict) and kind["type"] == "enum":
        return value in kind["symbols"]
    name = _kind(kind)
    if name in ("int", "long"):
        return isinstance(value, int) and not isinstance(value, bool)
    if name in ("float", "double"):
        return _is_bound(value)
    types: dict[str, type | tuple[type, ...]] = {
        "null": type(None),
        "boolean": bool,
        "string": str,
        "bytes": str,
        "array": list,
        "record": dict,
        "map": dict,
        "fixed": str,
    }
    return name in types and isinstance(value, types[name])


def _kind(declared: Any) -> str:
    """The name of a type; of a nullable union that of its other branch."""
    if isinstance(declared, list):
        others = [branch for branch in declared if branch != "null"]
        return _kind(others[0]) if len(others) == 1 else "union"
    if isinstance(declared, dict):
        return _kind(declared["type"]) if isinstance(declared["type"], dict | list) else str(declared["type"])
    return str(declared)


def _records(declared: Any) -> Iterator[Schema]:
    """The records defined in a type."""
    if isinstance(declared, list):
        for branch in declared:
            yield from _records(branch)
    elif isinstance(declared, dict):
        if declared["type"] == "record":
            yield declared
        elif declared["type"] in ("array", "map"):
            yield from _records(declared.get("items", declared.get("values")))
        else:
            yield from _records(declared["type"])
