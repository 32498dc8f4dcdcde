"""Runs a decider: commands in, events and further commands out, in one transaction with the position. No Faust, no threads.

Everything that was polled, of all partitions, is decided and written in one transaction. What the machines worked out holds
from the commit on (`keep`), or never did (`drop`).
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from threading import Lock
from typing import Any, NamedTuple

from connectors.ports import DeadLetter, DeadLetters
from connectors.transactions import Outgoing, Transactions
from schemas.log import Batch, TopicPartition
from schemas.messages import Event, Messages
from streams.commands import Read, Received, read_commands
from streams.limits import BadRecordGauge, Limit
from streams.machine import Addressed, Machine
from streams.restoring import Committed, Restored, Restorer
from streams.runner import Gap, NotOwned

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decider:
    """What is run. `make_machine(partition)` gives a new machine without any state. Its events go to the partition of
    `events_topic` that has the number of the commands' one."""

    name: str
    commands_topic: str
    events_topic: str
    make_machine: Callable[[int], Machine]


@dataclass(slots=True, eq=False)
class _Stand:
    """Where a partition stands. Compared by identity: a partition started anew has a new one."""

    machine: Machine
    following: int
    """The offset of the next command."""
    restored: Restored
    gauge: BadRecordGauge
    letters_until: int = 0


class _Part(NamedTuple):
    """What is worked on of one partition, and the offset behind it."""

    stand: _Stand
    source: TopicPartition
    commands: Sequence[Received]
    following: int


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of a poll's worth of commands. `refusals` counts by code, `following` are the positions now."""

    commands: int = 0
    set_aside: int = 0
    records: int = 0
    transactions: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    following: Mapping[TopicPartition, int] = field(default_factory=dict)


class DeciderRunner:
    """`start` before the first batch of a partition; it may come from another thread (a rebalance).

    It waits for the batches in hand: position and state are read one after the other, and must be of one moment. Whatever
    other members write meanwhile is of an earlier assignment, and refused or already waited for."""

    def __init__(
        self,
        decider: Decider,
        codecs: Mapping[str, Messages],
        transactions: Transactions,
        restorer: Restorer,
        dead_letters: DeadLetters,
        limit: Limit,
    ) -> None:
        """`codecs`: of the command topic, the event topic, and every topic that further commands go to."""
        self.decider = decider
        self._codecs, self._transactions, self._restorer = codecs, transactions, restorer
        self._dead_letters, self._limit = dead_letters, limit
        self._stands: dict[TopicPartition, _Stand] = {}
        self._lock = Lock()

    def start(self, sources: Iterable[TopicPartition], committed: Committed) -> dict[TopicPartition, int]:
        """Read positions and states of partitions that were just assigned; returns where their commands go on.
        `committed` gives the group's offsets, once no transaction that moves them is open.

        Raises:
            Away: something that is needed does not answer, or a transaction is still open; try again.
        """
        with self._lock:
            self._transactions.open()
            found = self._restorer.restore(self.decider, list(sources), committed)
            for source, restored in found.items():
                self._stands[source] = _Stand(restored.machine, restored.following, restored, BadRecordGauge(self._limit))
        return {source: restored.following for source, restored in found.items()}

    def position(self, source: TopicPartition) -> int | None:
        """The offset of the next command, or None for a partition that was not started."""
        stand = self._stands.get(source)
        return None if stand is None else stand.following

    def handle(self, batches: Sequence[Batch], member: Any) -> Handled:
        """Decide. Each partition comes in one batch at most. After a failure, the same call again goes on where the last
        commit has left it.

        Raises:
            Away: something that is needed does not answer; the same call again is right.
            Disowned: `start` the partitions again.
            Anything else: a bug, or a log that does not hold what it must: at least one of the partitions must not go on.
        """
        with self._lock:
            return self._handle(batches, member)

    def _handle(self, batches: Sequence[Batch], member: Any) -> Handled:
        total = Handled()
        parts, set_aside = [], 0
        for batch in batches:
            part, faults = self._received(batch)
            parts.append(part)
            set_aside += faults
        settled: set[str] = set()
        while parts := [part for part in parts if part.stand.following < part.following]:
            turn = [_until_a_repeat(part, settled) for part in parts]
            done = self._transact(turn, member)
            settled.update(command.keyed.command.command_id for part in turn for command in part.commands)
            parts = [part._replace(commands=part.commands[len(t.commands) :]) for part, t in zip(parts, turn, strict=True)]
            total = Handled(
                total.commands + done.commands,
                set_aside,
                total.records + done.records,
                total.transactions + 1,
                total.refusals + done.refusals,
                {**total.following, **done.following},
            )
        return total

    def _received(self, batch: Batch) -> tuple[_Part, int]:
        """The commands of a batch, and how many records are none. Those are set aside, for good, before the position passes
        them."""
        stand = self._stands.get(batch.source)
        if stand is None:
            raise NotOwned(f"{batch.source} was not started")
        stand.restored.check()
        fresh = batch.since(stand.following)
        if fresh is None:
            return _Part(stand, batch.source, (), stand.following), 0
        if fresh.begins > stand.following:
            raise Gap(f"{batch.source}: the log goes on at {fresh.begins}, the decider stands at {stand.following}")
        read = read_commands(fresh, self._codecs[batch.source.topic])
        gauge = stand.gauge.check(len(fresh), [fault.place for fault in read.faults])
        self._set_aside(stand, fresh, read)
        stand.gauge = gauge
        return _Part(stand, batch.source, read.commands, fresh.following), len(read.faults)

    def _set_aside(self, stand: _Stand, batch: Batch, read: Read) -> None:
        letters = [
            DeadLetter(
                self.decider.name,
                batch.source,
                batch.offsets[fault.place],
                fault.reason,
                fault.detail,
                batch.keys[fault.place],
                batch.values[fault.place],
            )
            for fault in read.faults
            if batch.offsets[fault.place] >= stand.letters_until
        ]
        if letters:
            self._dead_letters.set_aside(letters)
            stand.letters_until = letters[-1].offset + 1

    def _transact(self, parts: Sequence[_Part], member: Any) -> Handled:
        """One transaction."""
        try:
            worked = [part.stand.machine.work([command.keyed for command in part.commands]) for part in parts]
            records = [self._outgoing(record, part) for part, of in zip(parts, worked, strict=True) for record in of]
            following = {part.source: part.following for part in parts}
            offsets = self._transactions.write(records, following, member)
        except BaseException:
            for part in parts:
                part.stand.machine.drop()
            raise
        self._keep(parts, worked, offsets)
        messages = [record.message for of in worked for record in of]
        codes = [getattr(message, "code", None) for message in messages if isinstance(message, Event)]
        refusals = Counter(code for code in codes if isinstance(code, str))
        return Handled(sum(len(part.commands) for part in parts), 0, len(records), 1, refusals, following)

    def _keep(self, parts: Sequence[_Part], worked: Sequence[Sequence[Addressed]], offsets: Sequence[int]) -> None:
        ends = list(accumulate(len(records) for records in worked))
        for part, records, end in zip(parts, worked, ends, strict=True):
            placed = offsets[end - len(records) : end]
            # What is committed must not be decided again, whatever becomes of the machine.
            part.stand.following = part.following
            part.stand.restored.broken = Broken("what was committed was not taken into the state")
            part.stand.machine.keep(placed)
            part.stand.restored.broken = None
            part.stand.restored.wrote(self.decider.events_topic, records, placed)

    def _outgoing(self, record: Addressed, part: _Part) -> Outgoing:
        own = record.topic == self.decider.events_topic
        value = self._codecs[record.topic].encode(record.message)
        return Outgoing(record.topic, part.source.partition if own else None, record.key.encode(), value)

    def save(self, least: int) -> None:
        """Take a snapshot of the states that have taken `least` events or more since their last one."""
        for source, stand in list(self._stands.items()):
            if stand.restored.since_saved >= least:
                self._restorer.save(self.decider, source.partition, stand.restored)


class Broken(Exception):
    """A machine is of no more use; its partition must be started anew."""


def _until_a_repeat(part: _Part, settled: set[str]) -> _Part:
    """The commands before the first that comes a second time: its answer is needed where it comes again, and has a place
    only after the commit. Ids in `settled` are committed."""
    seen: set[str] = set()
    for at, command in enumerate(part.commands):
        identity = command.keyed.command.command_id
        if identity in seen and identity not in settled:
            return part._replace(commands=part.commands[:at], following=command.offset)
        seen.add(identity)
    return part
