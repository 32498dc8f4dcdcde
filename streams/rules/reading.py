"""What the slices of a run hold, read. A record that can't be read is counted and passed over: the views set it aside."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.log import Batch, TopicPartition
from schemas.messages import Command, Event, Foreign, Messages
from schemas.record_columns import BatchDecoder
from streams.rules.cuts import COMMANDS, REGISTRATION, RULES
from streams.rules.ports import Place

Slices = Mapping[TopicPartition, Sequence[Batch]]


@dataclass(slots=True)
class Readers:
    """`messages` reads fleet.rules and fleet.alerts.commands, `columns` every topic of rows."""

    messages: Mapping[str, Messages]
    columns: Mapping[str, BatchDecoder]


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
    """The records of registration; those that can't be read are counted where they are read as rows."""
    for source, batches in of_topic(slices, REGISTRATION).items():
        for batch in batches:
            read = readers.columns[REGISTRATION].rows(batch.values)
            for index, record in read.rows:
                yield Place(*source, batch.offsets[index]), record
