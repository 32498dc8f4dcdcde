"""What the slices of a run hold, read. A record that can't be read is counted and passed over: the views set it aside."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from schemas.log import Batch, TopicPartition
from schemas.messages import Command, Event, Foreign, Messages
from schemas.record_columns import BatchDecoder
from streams.rules.cuts import COMMANDS, REGISTRATION, RULES
from streams.rules.ports import Place

Slices = Mapping[TopicPartition, Sequence[Batch]]
Facts = Callable[[bytes | None], Mapping[str, Any] | None]
"""Reads a record of registration that tells something of a device (streams.rules.facts); None for any other."""

REMEMBERED = 4_096  # records of registration: more than come between two turns


def facts_of(decoder: BatchDecoder) -> Facts:
    """The reader that all engines of a process share: each of them reads all of registration, and a record takes 50 µs. Used
    by one thread at a time; what it gives is not to be changed. `decoder` reads no other types than facts.RECORDS."""

    def read(value: bytes | None) -> Mapping[str, Any] | None:
        found = decoder.rows([value]).rows
        return found[0][1] if found else None

    return lru_cache(REMEMBERED)(read)


@dataclass(slots=True)
class Readers:
    """`messages` reads fleet.rules and fleet.alerts.commands, `columns` every topic of rows, `facts` what registration tells
    of devices."""

    messages: Mapping[str, Messages]
    columns: Mapping[str, BatchDecoder]
    facts: Facts


def of_topic(slices: Slices, topic: str) -> dict[TopicPartition, Sequence[Batch]]:
    return {source: slices[source] for source in sorted(slices) if source.topic == topic}


def _values(slices: Slices, topic: str) -> Iterator[tuple[Place, bytes | None, bytes | None]]:
    for source, batches in of_topic(slices, topic).items():
        for batch in batches:
            for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
                yield Place(*source, offset), key, value


def rule_events(slices: Slices, readers: Readers, unread: Callable[[], None]) -> Iterator[tuple[Place, Event]]:
    for place, _, value in _values(slices, RULES):
        try:
            message = readers.messages[RULES].decode(value)
        except Foreign:
            unread()
            continue
        if isinstance(message, Event):
            yield place, message


def alert_commands(slices: Slices, readers: Readers, unread: Callable[[], None]) -> Iterator[tuple[Place, str, Command]]:
    for place, key, value in _values(slices, COMMANDS):
        try:
            message = readers.messages[COMMANDS].decode(value)
            home = (key or b"").decode()
        except (Foreign, UnicodeDecodeError):
            unread()
            continue
        if isinstance(message, Command) and home:
            yield place, home, message
        else:
            unread()


def registrations(slices: Slices, readers: Readers) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """The records of registration that tell something of a device; those that can't be read are counted where they are read
    as rows."""
    for source, batches in of_topic(slices, REGISTRATION).items():
        for batch in batches:
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                record = readers.facts(value)
                if record is not None:
                    yield Place(*source, offset), record
