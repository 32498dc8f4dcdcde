"""Which records may be corrected, and with what: the rules, without the outside."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas.check import json_values
from schemas.codec import Encoder, Unencodable
from schemas.contract import Contract, RecordType, Schema, Topic
from schemas.record_columns import decoder_of
from schemas.shape import Kind, Shape, shape_of
from schemas.wire import prefix

DECIDERS = ("decider", "registration", "ledger", "authority")


class Incorrigible(ValueError):
    """The record may not be corrected so; the message says why. Nothing was written."""


def check_topic(contract: Contract, views: Mapping[str, Sequence[str]], topic: str, skips_undecodable: bool) -> Topic:
    """The topic, if its records may be corrected. `views`: name -> topics that the view reads. `skips_undecodable`: the
    correction leaves out a record that nobody can decode.

    Raises:
        Incorrigible: no view reads it; or deciders do, whose history is not bent.
    """
    declared = contract.topics.get(topic)
    if declared is None:
        raise Incorrigible(f"the contract has no topic {topic}")
    if topic.endswith(".commands"):
        raise Incorrigible(f"{topic} holds commands, which are decided once: give the command again instead")
    if not any(topic in topics for topics in views.values()):
        raise Incorrigible(f"no view reads {topic}: there is nothing that a correction of its records would change")
    if set(DECIDERS) & {*declared.producers, *declared.consumers} and not skips_undecodable:
        raise Incorrigible(
            f"{topic} holds what deciders decided and decide by; their history is not bent. A later event can set right "
            "what one of these says; only a record that nobody can decode may be discarded"
        )
    return declared


def changed_values(record: RecordType, base: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """`base` with fields set as `NAME=VALUE` says, NAME such as readings[0].value, VALUE in JSON or plain text.

    Raises:
        Incorrigible: there is no such field, or it can't hold this.
    """
    values: dict[str, Any] = json.loads(json.dumps(json_values(dict(base))))
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise Incorrigible(f"{assignment!r} is no field=value")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        _assign(values, name, value)
    made: dict[str, Any] = avro_values(shape_of(record.schema), values, "")
    return made


def _assign(values: dict[str, Any], name: str, value: Any) -> None:
    at: Any = values
    steps = name.replace("[", ".[").split(".")
    for number, step in enumerate(steps):
        place: Any = int(step[1:-1]) if step.startswith("[") and step.endswith("]") and step[1:-1].isdecimal() else step
        try:
            if number + 1 == len(steps):
                at[place] = value
            else:
                at = at[place]
        except (KeyError, IndexError, TypeError):
            raise Incorrigible(f"{name}: there is no {step or 'field without a name'} to set or to go into") from None


def avro_values(shape: Shape, value: Any, path: str) -> Any:
    """Values as `fleetlog dlq show` prints them (bytes as text, a character per byte) as Avro's.

    Raises:
        Incorrigible: a field that there is not, or bytes that are none.
    """
    if value is None:
        return None
    if shape.kind is Kind.RECORD and isinstance(value, dict):
        known = {field.name: field.shape for field in shape.fields}
        if unknown := sorted(set(value) - set(known)):
            raise Incorrigible(f"{path or shape.name}: has no field {', '.join(unknown)}")
        return {name: avro_values(known[name], part, f"{path}.{name}".lstrip(".")) for name, part in value.items()}
    if shape.kind is Kind.ARRAY and isinstance(value, list):
        return [avro_values(shape.item, part, f"{path}[{i}]") for i, part in enumerate(value)]
    if shape.kind is Kind.BYTES and isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise Incorrigible(f"{path}: bytes are written a character per byte, up to U+00FF") from None
    return value


def framed(topic: Topic, record: RecordType, values: Mapping[str, Any], register: Callable[[str, Schema], int]) -> bytes:
    """The framed value of a record under the contract's present schema.

    Raises:
        Incorrigible: a field is missing or holds what its type can't.
    """
    try:
        body = Encoder(record).encode(values)
    except Unencodable as error:
        raise Incorrigible(str(error)) from None
    return prefix(register(topic.subject(record), record.schema)) + body


def check_value(topic: Topic, key: bytes | None, value: bytes, schema_of: Callable[[int], Schema]) -> dict[str, Any]:
    """The values of a record that is to count in place of another, if it may: every view can decode it, it is within the
    contract, and it belongs to the record's key.

    Raises:
        Incorrigible: it may not.
    """
    columns = decoder_of(topic, schema_of).decode([value])
    for fault in columns.faults:
        raise Incorrigible(f"the new value is {fault.reason}: {fault.detail}")
    values: dict[str, Any] = columns.frame.drop("index").to_dicts()[0]
    if key is not None and topic.key in values and str(values[topic.key]).encode() != key:
        raise Incorrigible(
            f"{topic.key} of the new value is {values[topic.key]!r}, but the record's key is {key!r}: the key is not changed"
        )
    return values
