"""Commands out of a batch of records. What is none is a fault, for the dead letters. Pure but for the registry."""

from typing import NamedTuple
from uuid import UUID

from schemas.log import Batch
from schemas.messages import Command, Foreign, Messages
from streams.machine import Keyed


class Received(NamedTuple):
    """A command at its offset."""

    offset: int
    keyed: Keyed


class RecordFault(NamedTuple):
    """Why the record at a place of the batch is no command; `reason` is one of undecodable, foreign, bad-key, bad-id."""

    place: int
    reason: str
    detail: str


class Read(NamedTuple):
    commands: list[Received]
    faults: list[RecordFault]


def read_commands(batch: Batch, codec: Messages) -> Read:
    """
    Raises:
        Away: the registry, asked for a schema that is not known yet, does not answer.
    """
    read = Read([], [])
    for index, (offset, key, value) in enumerate(zip(batch.offsets, batch.keys, batch.values, strict=True)):
        found = _command(key, value, codec)
        if isinstance(found, Keyed):
            read.commands.append(Received(offset, found))
        else:
            read.faults.append(RecordFault(index, *found))
    return read


def _command(key: bytes | None, value: bytes | None, codec: Messages) -> Keyed | tuple[str, str]:
    try:
        message = codec.decode(value)
    except Foreign as fault:
        return "undecodable", str(fault)
    if not isinstance(message, Command):
        return "foreign", "a record type that the decider does not know"
    if key is None:
        return "bad-key", "a command without a key"
    try:
        text = key.decode()
    except UnicodeDecodeError as fault:
        return "bad-key", str(fault)
    try:
        UUID(message.command_id)
    except ValueError:
        return "bad-id", f"command_id {message.command_id!r} is no UUID"
    return Keyed(text, message)
