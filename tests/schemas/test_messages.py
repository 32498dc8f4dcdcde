"""Message types say what their avsc say, and come back from the log as they went in."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connectors.memory_registry import MemoryRegistry
from schemas import (
    alert_messages,
    certificate_messages,
    registration_commands,
    registration_events,
    rule_messages,
    rule_records,
)
from schemas.contract import RecordType, Topic, load
from schemas.messages import Foreign, Message, Messages, TypedRecords
from schemas.shape import Kind, Shape, shape_of

CONTRACT = load()
EXAMPLES = Path(__file__).parents[2] / "schemas/examples"
PLAIN = {
    Kind.STRING: str,
    Kind.BYTES: bytes,
    Kind.INT: int,
    Kind.LONG: int,
    Kind.TIMESTAMP: int,
    Kind.DOUBLE: float,
    Kind.BOOLEAN: bool,
}


STRUCTS = [
    made
    for module in (
        registration_commands,
        registration_events,
        certificate_messages,
        rule_messages,
        rule_records,
        alert_messages,
    )
    for made in vars(module).values()
    if isinstance(made, type) and issubclass(made, msgspec.Struct) and made.__module__ == module.__name__
]
TYPES: list[Any] = [made for made in STRUCTS if made.__name__ in CONTRACT.records]
WITHIN = {made.__struct_fields__: made for made in STRUCTS if not issubclass(made, Message)}
"""Structs of the records within records, by their fields."""


def annotation(shape: Shape) -> Any:
    from typing import Literal

    if shape.kind is Kind.ENUM:
        plain: Any = Literal[shape.symbols]
    elif shape.kind is Kind.ARRAY:
        plain = tuple[annotation(shape.item), ...]
    elif shape.kind is Kind.RECORD:
        plain = WITHIN[tuple(part.name for part in shape.fields)]
    else:
        plain = PLAIN[shape.kind]
    return plain | None if shape.nullable else plain


@pytest.mark.parametrize("made", TYPES, ids=lambda made: made.__name__)
def test_a_message_type_has_the_fields_of_its_record(made: type[msgspec.Struct]) -> None:
    record = CONTRACT.records[made.__name__]
    declared = {field.name: field.type for field in msgspec.inspect.type_info(made).fields}  # type: ignore[attr-defined]
    expected = {part.name: msgspec.inspect.type_info(annotation(part.shape)) for part in shape_of(record.schema).fields}
    assert declared == expected


def topic_of(record: RecordType) -> Topic:
    (topic,) = (topic for topic in CONTRACT.topics.values() if record in topic.records)
    return topic


@pytest.mark.parametrize("made", TYPES, ids=lambda made: made.__name__)
def test_a_message_comes_back_as_it_went_in(made: type[msgspec.Struct]) -> None:
    record = CONTRACT.records[made.__name__]
    values = json.loads((EXAMPLES / made.__name__ / "typical.json").read_text())["values"]
    for part in shape_of(record.schema).fields:
        if part.shape.kind is Kind.BYTES and values[part.name] is not None:
            values[part.name] = values[part.name].encode("latin-1")
        elif part.shape.kind is Kind.ARRAY and part.shape.item.kind is Kind.BYTES:
            values[part.name] = [item.encode("latin-1") for item in values[part.name]]
    message = msgspec.convert(values, made)
    registry = MemoryRegistry()
    messages = TypedRecords(topic_of(record), [made], registry.register, registry.schema)
    assert messages.decode(messages.encode(message)) == message


@pytest.mark.parametrize("value", [None, b"", b"\x00\x00\x00\x00\x63x", b"{}"])
def test_what_is_no_message_is_named(value: bytes | None) -> None:
    registry = MemoryRegistry()
    messages = Messages(CONTRACT.topics["fleet.certificates"], [], registry.register, registry.schema)
    with pytest.raises(Foreign):
        messages.decode(value)
