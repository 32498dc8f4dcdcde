"""The shape of a record: its avsc, read once, as a tree that codecs, checks and forms walk.

Avro's named types, nullable unions, logical types and the contract's own attributes (see `schemas.contract`) are
resolved here and nowhere else.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from schemas.contract import ContractError, Schema

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
SHOWN_CHARACTERS = 60  # of a value that a message quotes


class Kind(StrEnum):
    """What a value is. TIMESTAMP is a long of microseconds since 1970-01-01 UTC."""

    STRING = "string"
    BYTES = "bytes"
    INT = "int"
    LONG = "long"
    TIMESTAMP = "timestamp"
    FLOAT = "float"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    ENUM = "enum"
    RECORD = "record"
    ARRAY = "array"


INTEGERS = frozenset((Kind.INT, Kind.LONG, Kind.TIMESTAMP))
FLOATS = frozenset((Kind.FLOAT, Kind.DOUBLE))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the contract allows of a value: ranges, lengths in characters (of bytes: in bytes), item counts."""

    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    pattern: str | None = None
    format: str | None = None

    @property
    def regex(self) -> str | None:
        """The pattern for Python, where a plain `$` would also match before a last line break."""
        return None if self.pattern is None else re.sub(r"(?<!\\)\$$", r"\\Z", self.pattern)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record. `required` is false where the avsc has a default."""

    name: str
    shape: "Shape"
    doc: str
    required: bool
    default: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a value. `name` is the short name of a record or enum, `items` the shape of an array's items;
    `null_first` says which branch of a nullable's union null is."""

    kind: Kind
    nullable: bool = False
    null_first: bool = True
    bounds: Bounds = field(default=Bounds())
    name: str = ""
    doc: str = ""
    fields: tuple[Field, ...] = ()
    items: "Shape | None" = None
    symbols: tuple[str, ...] = ()

    @property
    def item(self) -> "Shape":
        """The shape of an array's items."""
        assert self.items is not None
        return self.items


_ATTRIBUTES = {
    "minimum": "minimum",
    "maximum": "maximum",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_items",
    "maxItems": "max_items",
    "pattern": "pattern",
    "format": "format",
}
BOUND_ATTRIBUTES = (*_ATTRIBUTES, "itemMaxLength")


def shape_of(schema: Schema) -> Shape:
    """The shape of a record schema.

    Raises:
        ContractError: it uses what the contract does not (map, fixed, unions other than nullable, recursion).
    """
    return _shape(schema, schema, schema.get("name", "?"), {})


def _shape(declared: Any, attributes: Mapping[str, Any], path: str, names: dict[str, Schema | None]) -> Shape:
    """`declared` is the Avro type, `attributes` the field that carries the contract's attributes for it."""
    if isinstance(declared, list):
        others = [branch for branch in declared if branch != "null"]
        if len(others) != 1 or len(declared) != 2:
            raise ContractError(f"{path}: a union is either of null and one type, or not of the contract")
        inner = _shape(others[0], attributes, path, names)
        return replace(inner, nullable=True, null_first=declared[0] == "null")
    if isinstance(declared, str) and names.get(declared, 0) is None:
        raise ContractError(f"{path}: the type {declared} holds itself")
    known = names.get(declared) if isinstance(declared, str) else None
    schema = known or (declared if isinstance(declared, dict) else {"type": declared})
    bounds = Bounds(**{ours: attributes[theirs] for theirs, ours in _ATTRIBUTES.items() if theirs in attributes})
    match schema["type"]:
        case "record":
            return _record(schema, path, names)
        case "array":
            item = {"maxLength": attributes["itemMaxLength"]} if "itemMaxLength" in attributes else {}
            return Shape(Kind.ARRAY, bounds=bounds, items=_shape(schema["items"], item, f"{path}[]", names))
        case "enum":
            names[schema["name"]] = schema
            return Shape(Kind.ENUM, bounds=bounds, name=schema["name"], symbols=tuple(schema["symbols"]))
        case "long" if schema.get("logicalType") == "timestamp-micros":
            return Shape(Kind.TIMESTAMP, bounds=bounds)
        case "string" | "bytes" | "int" | "long" | "float" | "double" | "boolean" as primitive:
            return Shape(Kind(primitive), bounds=bounds)
        case dict() | list() as nested:
            return _shape(nested, attributes, path, names)
        case other:
            raise ContractError(f"{path}: the type {other!r} is not one that the contract uses")


def _record(schema: Schema, path: str, names: dict[str, Schema | None]) -> Shape:
    names[schema["name"]] = None  # while it is open: a use of it inside is a recursion
    fields = tuple(
        Field(
            name=declared["name"],
            shape=_shape(declared["type"], declared, f"{path}.{declared['name']}", names),
            doc=declared.get("doc", ""),
            required="default" not in declared,
            default=declared.get("default"),
            origin=declared.get("origin", "device"),
        )
        for declared in schema["fields"]
    )
    names[schema["name"]] = schema
    return Shape(Kind.RECORD, name=schema["name"], doc=schema.get("doc", ""), fields=fields)


def violations(shape: Shape, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(path, message) of each place in `value`, a decoded Avro value, that is outside the contract's bounds."""
    if value is None:
        return
    if shape.kind is Kind.RECORD:
        for part in shape.fields:
            yield from violations(part.shape, value[part.name], f"{path}.{part.name}" if path else part.name)
        return
    message = violation(shape, value)
    if message is not None:
        yield path, message
    if shape.kind is Kind.ARRAY:
        for i, item in enumerate(value):
            yield from violations(shape.item, item, f"{path}[{i}]")


def violation(shape: Shape, value: Any) -> str | None:
    """What is wrong with a value that is not null and no record, by the bounds of its shape; None if nothing."""
    if shape.kind is Kind.ARRAY:
        return _size(len(value), "items", shape.bounds.min_items, shape.bounds.max_items)
    if shape.kind in INTEGERS or shape.kind in FLOATS:
        return _number(shape, value)
    if shape.kind in (Kind.STRING, Kind.BYTES):
        return _text(shape, value)
    return None


def _number(shape: Shape, value: float) -> str | None:
    bounds = shape.bounds
    if shape.kind in FLOATS and not math.isfinite(value):
        return f"{value} is not finite"
    if bounds.minimum is not None and value < bounds.minimum:
        return f"{value} is below the minimum {bounds.minimum}"
    if bounds.maximum is not None and value > bounds.maximum:
        return f"{value} is above the maximum {bounds.maximum}"
    return None


def _text(shape: Shape, value: str | bytes) -> str | None:
    bounds = shape.bounds
    unit = "characters" if shape.kind is Kind.STRING else "bytes"
    fault = _size(len(value), unit, bounds.min_length, bounds.max_length)
    if fault is None and bounds.regex is not None and isinstance(value, str) and re.search(bounds.regex, value) is None:
        return f"{shown(value)} does not match {bounds.pattern}"
    return fault


def _size(size: int, unit: str, least: int | None, most: int | None) -> str | None:
    if least is not None and size < least:
        return f"has {size} {unit}, fewer than {least}"
    if most is not None and size > most:
        return f"has {size} {unit}, more than {most}"
    return None


def shown(value: object) -> str:
    """`value` as a message quotes it: short, however large it is."""
    if isinstance(value, str | bytes):
        text = repr(value[: SHOWN_CHARACTERS + 1])
    elif isinstance(value, int) and value.bit_length() > 256:  # Python refuses to print an int of thousands of digits
        return "a number of more than 256 bits"
    else:
        text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
