"""Where a decider's partitions stand when they are assigned: the position that the group committed, and the state that the
committed events make, from a snapshot and the tail of the log.

Position and events were committed together, so the state must hold all events of the transactions up to that position and
no others. The position is read once no transaction that moves it is open. The broker tells each partition of a transaction's
end by itself, so the events of a transaction whose position is already seen may still be on their way: therefore the end of
the event partition is asked for after the position was read, and waited for until everything below it is decided.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from connectors.ports import Away, LogReader
from connectors.snapshots import Snapshot, SnapshotKey, Snapshots
from schemas.log import TopicPartition
from schemas.messages import Event, Messages
from streams.machine import Addressed, Machine

log = logging.getLogger(__name__)

WAIT_SECONDS = 2.0  # for the end of a transaction, before the caller is told to come again
PAUSE_SECONDS = 0.01

Committed = Callable[[Iterable[TopicPartition]], Mapping[TopicPartition, int | None]]


class LostEvents(Exception):
    """The event partition holds a record that can't be read, or no longer reaches back to its beginning."""


class UnknownPosition(Exception):
    """The group has no offset for a partition in which commands were decided (the broker forgets the offsets of a group
    that has had no member for long), or one below the log's beginning. What is to be decided next is not known."""


class Made(Protocol):
    """What is needed of streams.decider.Decider."""

    @property
    def name(self) -> str: ...
    @property
    def commands_topic(self) -> str: ...
    @property
    def events_topic(self) -> str: ...
    @property
    def make_machine(self) -> Callable[[int], Machine]: ...


@dataclass(slots=True)
class Restored:
    """A machine with the state of the log. `events_until` is the offset behind its newest event, `newest`; `broken`: why
    it is of no use."""

    machine: Machine
    following: int
    events_until: int = 0
    newest: str = ""
    since_saved: int = 0
    broken: Exception | None = None

    def check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def took(self, event: Event, offset: int) -> None:
        """An event has gone into the state."""
        self.events_until, self.newest = offset + 1, event.event_id
        self.since_saved += 1

    def wrote(self, events_topic: str, records: Sequence[Addressed], offsets: Sequence[int]) -> None:
        """Records were committed and kept."""
        for record, offset in zip(records, offsets, strict=True):
            if record.topic == events_topic and isinstance(record.message, Event):
                self.took(record.message, offset)


class Restorer:
    """Reads the log for machines."""

    def __init__(
        self,
        reader: LogReader,
        events: Messages,
        end_of: Callable[[TopicPartition], int],
        snapshots: Snapshots,
    ) -> None:
        """`reader` reads committed records only. `end_of` gives the end of a partition with all records in it, also those
        of open transactions."""
        self._reader, self._events, self._end_of, self._snapshots = reader, events, end_of, snapshots

    def restore(
        self, decider: Made, sources: Sequence[TopicPartition], committed: Committed
    ) -> dict[TopicPartition, Restored]:
        """The machines of partitions of the command topic. One that can't be made says so when it is first used.

        Raises:
            Away: try again.
        """
        if not sources:
            return {}
        positions = committed(sources)
        bounds = self._decided([TopicPartition(decider.events_topic, source.partition) for source in sources])
        begins = self._reader.bounds([decider.commands_topic])
        restored = {}
        for source in sources:
            events = TopicPartition(decider.events_topic, source.partition)
            first, stop = bounds[events]
            position, begin = positions.get(source), begins[source][0]
            found = self._machine(decider, events, first, stop)
            found.following = begin if position is None else position
            if found.broken is None and (found.following < begin or (position is None and found.events_until)):
                found.broken = UnknownPosition(f"{source}: the group's offset is {position}, the log begins at {begin}")
            restored[source] = found
        return restored

    def _decided(self, events: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """The bounds of event partitions, once every transaction that has begun in them by now has ended."""
        ends = {source: self._end_of(source) for source in events}
        until = time.monotonic() + WAIT_SECONDS
        while True:
            bounds = self._reader.bounds({source.topic for source in events})
            opened = [source for source in events if bounds[source][1] < ends[source]]
            if not opened:
                return bounds
            if time.monotonic() > until:
                raise Away(f"a transaction is open in {opened[0]}, at or behind offset {bounds[opened[0]][1]}")
            time.sleep(PAUSE_SECONDS)

    def _machine(self, decider: Made, events: TopicPartition, first: int, stop: int) -> Restored:
        try:
            found = self._from_snapshot(decider, events, first, stop)
            if found is None:
                if first > 0:
                    raise LostEvents(f"{events} begins at {first}: a state can't be folded from it")
                found = self._fold(Restored(decider.make_machine(events.partition), 0), events, 0, stop)
        except Away:
            raise
        except Exception as error:
            log.exception("%s: the state of %s can't be read", decider.name, events)
            broken = Restored(decider.make_machine(events.partition), 0)
            broken.broken = error
            return broken
        log.info("%s: %s folded to %d, %d events by now", decider.name, events, stop, found.since_saved)
        return found

    def _from_snapshot(self, decider: Made, events: TopicPartition, first: int, stop: int) -> Restored | None:
        """A machine by way of the snapshot; None if there is none of this log."""
        machine = decider.make_machine(events.partition)
        key = SnapshotKey(decider.name, events.partition, machine.revision)
        try:
            snapshot = self._snapshots.load(key)
        except Away as away:
            log.warning("%s: no snapshot of %s: %s", decider.name, events, away)
            return None
        if snapshot is None or not first <= snapshot.newest < stop or not self._is_of(snapshot, events):
            return None
        try:
            machine.restore(snapshot.state)
        except (ValueError, msgspec.DecodeError) as error:
            log.warning("%s: the snapshot of %s can't be used: %s", decider.name, events, error)
            return None
        restored = Restored(machine, 0, snapshot.following, snapshot.newest_id)
        return self._fold(restored, events, snapshot.following, stop)

    def _is_of(self, snapshot: Snapshot, events: TopicPartition) -> bool:
        """Whether the log holds the newest event of a snapshot where the snapshot says."""
        for batch in self._reader.read(events, snapshot.newest, snapshot.newest + 1):
            message = self._events.decode(batch.values[0]) if batch.values else None
            return isinstance(message, Event) and message.event_id == snapshot.newest_id
        return False

    def _fold(self, restored: Restored, events: TopicPartition, start: int, stop: int) -> Restored:
        for batch in self._reader.read(events, start, stop):
            for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
                message = self._events.decode(value)
                if isinstance(message, Event):  # None: a type of others, who write to this topic too
                    if key is None:
                        raise LostEvents(f"{events} holds an event without a key at offset {offset}")
                    restored.machine.fold(key.decode(), message, offset)
                    restored.took(message, offset)
        return restored

    def save(self, decider: Made, partition: int, restored: Restored) -> None:
        """Keep a snapshot. A store that is away is no matter: the next one comes soon."""
        if not restored.newest or restored.broken is not None:
            return
        key = SnapshotKey(decider.name, partition, restored.machine.revision)
        state = restored.machine.snapshot()
        try:
            self._snapshots.save(key, Snapshot(restored.events_until, restored.events_until - 1, restored.newest, state))
        except Away as away:
            log.warning("%s: no snapshot of partition %d could be kept: %s", decider.name, partition, away)
        restored.since_saved = 0
