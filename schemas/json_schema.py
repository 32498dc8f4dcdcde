"""JSON Schema (2020-12) of what a device sends, made from a record's shape."""

import copy
from typing import Any

from schemas.contract import ContractError
from schemas.shape import INT_MAX, INT_MIN, INTEGERS, LONG_MAX, LONG_MIN, Field, Kind, Shape

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TIMESTAMP_DOC = "RFC 3339 with a zone, or an integer of microseconds since 1970-01-01 UTC."


def sent_fields(shape: Shape) -> tuple[Field, ...]:
    """The fields that a device sends: all but those that the server fills in."""
    return tuple(part for part in shape.fields if part.origin != "server")


def json_schema(shape: Shape) -> dict[str, Any]:
    """The schema of one upload. Bounds of a timestamp hold for its integer form; a string must lie in the same range.

    Raises:
        ContractError: a field's type has no JSON form (bytes).
    """
    return {"$schema": DIALECT, "title": shape.name, **_record(shape)}


def _record(shape: Shape) -> dict[str, Any]:
    fields = sent_fields(shape)
    return {
        "type": "object",
        "description": shape.doc,
        "properties": {part.name: _property(part) for part in fields},
        "required": [part.name for part in fields if part.required],
        "additionalProperties": False,
    }


def _property(part: Field) -> dict[str, Any]:
    made = _value(part.shape, part.name)
    made["description"] = f"{part.doc} {TIMESTAMP_DOC}" if part.shape.kind is Kind.TIMESTAMP else part.doc
    if not part.required:
        made["default"] = copy.deepcopy(part.default)
    return made


def _value(shape: Shape, name: str) -> dict[str, Any]:
    made = _not_null(shape, name)
    return {"anyOf": [made, {"type": "null"}]} if shape.nullable else made


def _not_null(shape: Shape, name: str) -> dict[str, Any]:
    bounds = shape.bounds
    if shape.kind is Kind.RECORD:
        return _record(shape)
    if shape.kind is Kind.ARRAY:
        made = {"type": "array", "items": _value(shape.item, name)}
        return _some(made, minItems=bounds.min_items, maxItems=bounds.max_items)
    if shape.kind is Kind.TIMESTAMP:
        return {"anyOf": [{"type": "string", "format": "date-time"}, _integer(shape)]}
    if shape.kind in INTEGERS:
        return _integer(shape)
    if shape.kind in (Kind.FLOAT, Kind.DOUBLE):
        return _some({"type": "number"}, minimum=bounds.minimum, maximum=bounds.maximum)
    if shape.kind is Kind.BOOLEAN:
        return {"type": "boolean"}
    if shape.kind is Kind.ENUM:
        return {"type": "string", "enum": list(shape.symbols)}
    if shape.kind is Kind.STRING and bounds.format == "json-object":
        return {"type": "object"}
    if shape.kind is Kind.STRING:
        made = _some({"type": "string"}, minLength=bounds.min_length, maxLength=bounds.max_length)
        return _some(made, pattern=bounds.pattern, format=bounds.format)
    raise ContractError(f"{name}: {shape.kind} has no JSON form")


def _integer(shape: Shape) -> dict[str, Any]:
    least, most = (INT_MIN, INT_MAX) if shape.kind is Kind.INT else (LONG_MIN, LONG_MAX)
    minimum, maximum = shape.bounds.minimum, shape.bounds.maximum
    return {
        "type": "integer",
        "minimum": least if minimum is None else minimum,
        "maximum": most if maximum is None else maximum,
    }


def _some(made: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return made | {name: value for name, value in attributes.items() if value is not None}
