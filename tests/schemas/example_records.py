"""Records of the contract's topics, made of their examples."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

from schemas import contract
from schemas.codec import encode
from schemas.shape import Shape, shape_of
from schemas.wire import prefix

CONTRACT = contract.load()


def framed(register: Callable[[str, Mapping[str, Any]], int], topic: str, name: str, values: Mapping[str, Any]) -> bytes:
    """The first example of a record type as a record's value on the log, with those of `values` that are its fields, and a
    new event id where it has one; `register` as of the port SchemaRegistry."""
    record, declared = CONTRACT.records[name], CONTRACT.topics[topic]
    example = json.loads(min((contract.HERE / "examples" / name).glob("*.json")).read_text("utf-8"))["values"]
    shapes = {part.name: part.shape for part in shape_of(record.schema).fields}
    plain = {field: _plain(shapes[field], value) for field, value in example.items()}
    own = {field: value for field, value in {"event_id": str(uuid4()), **values}.items() if field in shapes}
    body = encode(record, {**plain, **own})
    return prefix(register(declared.subject(record), record.schema)) + body


def _plain(shape: Shape, value: Any) -> Any:
    """Examples have bytes as text."""
    if isinstance(value, list) and shape.items is not None:
        return [_plain(shape.items, one) for one in value]
    return value.encode("latin-1") if shape.kind == "bytes" and isinstance(value, str) else value
