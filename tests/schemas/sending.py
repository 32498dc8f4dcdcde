"""The JSON that a device would send."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.json_schema import sent_fields
from schemas.shape import Kind, Shape


def sent(shape: Shape, values: dict[str, Any]) -> dict[str, Any]:
    """What a device would send to have `values` stored."""
    return {part.name: _sent_value(part.shape, values[part.name]) for part in sent_fields(shape)}


def _sent_value(shape: Shape, value: Any) -> Any:
    if value is None:
        return None
    if shape.kind is Kind.RECORD:
        return {part.name: _sent_value(part.shape, value[part.name]) for part in shape.fields}
    if shape.kind is Kind.ARRAY:
        return [_sent_value(shape.item, item) for item in value]
    if shape.kind is Kind.TIMESTAMP and value % 2:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)).isoformat()
    return json.loads(value) if shape.bounds.format == "json-object" else value
