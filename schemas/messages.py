"""Commands and events of topics that hold several record types, as typed values.

A message type is a struct named like its record type, with the record's fields. `Messages` turns them into framed Avro
values of a topic and back. `TypedRecords` does so for structs that are no messages: records that answer no command.
"""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from schemas.codec import BadSchema, Decoder, Encoder, Undecodable, parsed
from schemas.contract import Schema, Topic
from schemas.wire import PREFIX_BYTES, NotFramed, UnknownSchema, prefix, schema_id


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A record of a lifecycle topic."""

    command_id: str
    correlation_id: str
    actor: str


class Command(Message, frozen=True, kw_only=True):
    """What somebody wants; `issued_at` (microseconds since 1970 UTC) is all the clock that its decider knows."""

    issued_at: int


class Event(Message, frozen=True, kw_only=True):
    """What was decided. `received_at` equals `occurred_at`: the time of the command."""

    event_id: str
    occurred_at: int
    received_at: int


class Foreign(ValueError):
    """A value that is no message of the topic's types; the text says why."""


R = TypeVar("R", bound=msgspec.Struct)


class TypedRecords(Generic[R]):
    """The codec of one topic. `register(subject, schema)` gives a schema's id, `schema_of(id)` its schema; what they raise
    (a registry that is away) leaves the methods."""

    def __init__(
        self,
        topic: Topic,
        types: Iterable[type[R]],
        register: Callable[[str, Schema], int],
        schema_of: Callable[[int], Schema],
    ) -> None:
        self._topic, self._register, self._schema_of = topic, register, schema_of
        self._types = {made.__name__: made for made in types}
        self._records = {record.name: record for record in topic.records}
        if unknown := self._types.keys() - self._records.keys():
            raise ValueError(f"{topic.name} holds no {', '.join(sorted(unknown))}")
        self._encoders: dict[str, tuple[bytes, Encoder]] = {}
        self._decoders: dict[int, tuple[type[R] | None, Decoder]] = {}

    def encode(self, message: R) -> bytes:
        """The framed value of a message.

        Raises:
            Unencodable: a field holds what its type can't.
        """
        name = type(message).__name__
        known = self._encoders.get(name)
        if known is None:
            record = self._records[name]
            number = self._register(self._topic.subject(record), record.schema)
            known = self._encoders[name] = prefix(number), Encoder(record)
        start, encoder = known
        return start + encoder.encode(msgspec.to_builtins(message, builtin_types=(bytes,)))

    def decode(self, value: bytes | None) -> R | None:
        """The message in a framed value, of whatever version; None for a record type of the topic without message type.

        Raises:
            Foreign: it is nothing of the topic's.
        """
        if value is None:
            raise Foreign("a tombstone")
        try:
            made, decoder = self._decoder(schema_id(value))
            values = decoder.decode(value[PREFIX_BYTES:])
        except (NotFramed, UnknownSchema, BadSchema, Undecodable) as error:
            raise Foreign(str(error) or "of a schema that the registry does not know") from None
        if made is None:
            return None
        try:
            return msgspec.convert(values, made)
        except msgspec.ValidationError as error:
            raise Foreign(f"{made.__name__}: {error}") from None

    def _decoder(self, number: int) -> tuple[type[R] | None, Decoder]:
        known = self._decoders.get(number)
        if known is None:
            schema = self._schema_of(number)
            writer = parsed(schema)
            full_name = writer.get("name") if isinstance(writer, dict) else None
            record = next((record for record in self._topic.records if record.full_name == full_name), None)
            if record is None:
                raise Foreign(f"schema {number} is of {full_name or 'no record'}, which {self._topic.name} does not hold")
            known = self._decoders[number] = self._types.get(record.name), Decoder(schema, record.schema)
        return known


class Messages(TypedRecords[Message]):
    """The codec of a topic of commands or events."""
