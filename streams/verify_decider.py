"""Verify a decider: decide all commands of the log anew, in memory, and compare with the events and commands that are there.

The log must be what one undisturbed decider would have written. Each command's events must be there once, in the order of
the commands, and every command that follows from them must be in its topic. Commands at a partition's end may be undecided
yet.
Commands that the log no longer holds (retention) leave events that can't be compared; those before the first event of a
command that is still there are folded as they are.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from connectors.ports import LogReader
from schemas.log import TopicPartition
from schemas.messages import Command, Event, Message, Messages
from streams.aggregate_decider import recall
from streams.aggregates import Aggregates, Definition
from streams.machine import Keyed

MOST_NAMED = 20
SETTLE_SECONDS = 2.0


@dataclass(slots=True)
class DeciderVerdict:
    """What was compared. `undecided`: commands at the partitions' ends without an event yet. `differing` names the first
    commands whose events are others than they should be, `missing` further commands that are nowhere."""

    commands: int = 0
    events: int = 0
    undecided: int = 0
    folded: int = 0
    differing: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return not self.differing and not self.missing


def verify_decider(definition: Definition[Any], reader: LogReader, codecs: Mapping[str, Messages]) -> DeciderVerdict:
    """`reader` reads committed records. What follows from events is looked for in the topics that `codecs` has.

    Raises:
        Away: the broker or the registry does not answer.
    """
    verdict, followed = DeciderVerdict(), dict[str, set[str]]()
    ends = reader.bounds([definition.events_topic])
    for source, (begin, end) in sorted(reader.bounds([definition.commands_topic]).items()):
        events = TopicPartition(definition.events_topic, source.partition)
        # Events first: a command that comes while they are read is undecided, and not lost.
        written = deque((offset, key, message) for offset, key, message in _messages(reader, codecs, events, *ends[events]))
        commands = list(_messages(reader, codecs, source, begin, end))
        machine = Aggregates(definition, partial(recall, reader, codecs[definition.events_topic], events))
        _Partition(definition, machine, written, verdict, followed).compare(commands)
    for topic, wanted in followed.items():
        verdict.missing += sorted(_missing(reader, codecs, topic, wanted))[:MOST_NAMED]
    return verdict


def _missing(reader: LogReader, codecs: Mapping[str, Messages], topic: str, wanted: set[str]) -> set[str]:
    """The commands that are not in a topic. The broker tells each partition of a commit by itself, so that what was written
    with an event may be readable a moment after it."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        bounds = reader.bounds([topic])
        left = wanted - {m.command_id for s, (a, b) in bounds.items() for _, _, m in _messages(reader, codecs, s, a, b)}
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.1)


@dataclass(slots=True)
class _Partition:
    definition: Definition[Any]
    machine: Aggregates[Any]
    written: deque[tuple[int, str, Message]]
    verdict: DeciderVerdict
    followed: dict[str, set[str]]

    def compare(self, commands: Sequence[tuple[int, str, Message]]) -> None:
        known = {message.command_id for _, _, message in commands}
        while self.written and self.written[0][2].command_id not in known:
            self.verdict.folded += 1
            self._fold(self.written.popleft())
        for offset, key, command in commands:
            if isinstance(command, Command):
                self._compare(offset, key, command)
        if self.written:
            self._differs(f"{len(self.written)} events from offset {self.written[0][0]} on are of no command")

    def _compare(self, offset: int, key: str, command: Command) -> None:
        if not self.written:
            self.verdict.undecided += 1
            return
        self.verdict.commands += 1
        records = self.machine.work([Keyed(key, command)])
        self.machine.drop()
        expected = [(record.key, record.message) for record in records if record.topic == self.definition.events_topic]
        for record in records:
            if record.topic != self.definition.events_topic:
                self.followed.setdefault(record.topic, set()).add(record.message.command_id)
        found: list[tuple[int, str, Message]] = []
        while self.written and len(found) < len(expected) and self.written[0][2].command_id == command.command_id:
            found.append(self.written.popleft())
            self._fold(found[-1])
        self.verdict.events += len(found)
        if [(key, message) for _, key, message in found] != expected:
            self._differs(f"{self.definition.commands_topic} offset {offset}: {type(command).__name__} {command.command_id}")

    def _fold(self, record: tuple[int, str, Message]) -> None:
        offset, key, message = record
        if isinstance(message, Event):
            self.machine.fold(key, message, offset)

    def _differs(self, what: str) -> None:
        if len(self.verdict.differing) < MOST_NAMED:
            self.verdict.differing.append(what)


def _messages(
    reader: LogReader, codecs: Mapping[str, Messages], source: TopicPartition, start: int, stop: int
) -> Iterator[tuple[int, str, Message]]:
    """Offset, key and message of the records of a partition; records of types without messages, and what is none at all,
    are left out, as the decider does."""
    for batch in reader.read(source, start, stop):
        for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
            try:
                message = codecs[source.topic].decode(value)
            except ValueError:  # Foreign: the decider has set it aside
                continue
            if message is not None:
                yield offset, (key or b"").decode(errors="replace"), message
