"""A decider of aggregates: many states of one kind in a partition, one for each key. Pure.

What a kind of aggregate does is told by a `Definition` of pure functions. `Aggregates` runs it as a `Machine`: it keeps the
states, answers a command that comes again with a pointer to its first answer, and tells the definition nothing of
batches, transactions and snapshots.

The events of a command are written together and in order; the one that answers it is the last.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec

from schemas.messages import Command, Event
from streams.machine import Addressed, Keyed

S = TypeVar("S")
REMEMBERED = 100_000  # newest commands of a partition that are known when they come again: 25 MB
FORGOTTEN_MICROSECONDS = 24 * 3_600_000_000  # for so long a state that counts as none is held: servers' clocks differ
AT_HAND = 1_000  # newest of them from which others follow, whose events are not read from the log: retries come soon


class Definition(Protocol[S]):
    """What a kind of aggregate does. Pure: no clock, no randomness, no I/O; what a function needs is in its arguments."""

    name: str
    commands_topic: str
    events_topic: str
    revision: int
    """Raised with every change of what `evolve` yields, or of the state's fields: older snapshots are then not used."""

    state_type: Any
    """The type S for msgspec: a struct, or a union of tagged ones."""

    repeated: type[Event]
    """The record type of the event that `repeat` makes."""

    def decide(self, state: S | None, command: Command) -> Sequence[Event]:
        """At least one event; a refusal is one. `state` is None for a key without any event."""

    def evolve(self, state: S | None, event: Event) -> S | None:
        """The state after an event."""

    def react(self, state: S | None, event: Event) -> Sequence[Addressed]:
        """The commands that follow from an event; `state` is the one after it."""

    def forgets(self, state: S, now: int) -> bool:
        """Whether a state counts as none from `now` (microseconds, the time of a command) on, and for ever: it takes room,
        and no command is decided by it any more. Told from the state alone, so that whoever folds the log anew, and
        forgets later or sooner, decides the same."""

    def repeat(self, command: Command, times: int, answer_offset: int) -> Event:
        """The event that says that a command came again (`streams.identities.repeat_headers`)."""


class Answer(NamedTuple):
    """Where a command's events are: `last` is the offset of the last one, `extent` how far before it the first one is.
    `times`: how often it came again. `followed`: whether other commands follow from it."""

    last: int
    extent: int
    times: int
    followed: bool


class Gone(Exception):
    """The log does not hold the events that it once answered a command with."""


Recall = Callable[[int, int], Sequence[Event]]
"""The events of the partition with first <= offset <= last, read from the log. May raise Away."""


class _Written(NamedTuple):
    """An event to be remembered when its offset is known; `event` only where commands follow from it."""

    identity: bytes
    repeated: bool
    event: Event | None


@dataclass(slots=True)
class _Pending(Generic[S]):
    """What was worked out and is not committed. `written`: for each record; None for a follow-up."""

    states: dict[str, S | None] = field(default_factory=dict)
    written: list[_Written | None] = field(default_factory=list)
    times: dict[bytes, int] = field(default_factory=dict)
    decided: set[bytes] = field(default_factory=set)
    latest: int = 0


class _Snapshot(msgspec.Struct, array_like=True, frozen=True):
    states: msgspec.Raw
    answers: list[tuple[bytes, Answer]]


class Aggregates(Generic[S]):
    """The machine of one partition."""

    def __init__(self, definition: Definition[S], recall: Recall, remembered: int = REMEMBERED) -> None:
        """`remembered`: how many of the newest commands are known when they come again."""
        self.revision = definition.revision
        self._definition, self._recall, self._remembered = definition, recall, remembered
        self._states: dict[str, S] = {}
        self._answers: dict[bytes, Answer] = {}  # the oldest first
        self._at_hand: dict[bytes, list[Event]] = {}  # the oldest first
        self._pending = _Pending[S]()
        self._latest = 0  # time of a command
        self._decoder: msgspec.msgpack.Decoder[dict[str, S]] = msgspec.msgpack.Decoder(_states_of(definition.state_type))

    @property
    def states(self) -> Mapping[str, S]:
        """The state of every key, after all that was kept or folded."""
        return self._states

    def work(self, commands: Sequence[Keyed]) -> list[Addressed]:
        """See `Machine`. A command id that is not known from before comes once in a call.

        Raises:
            ValueError: it does not, or it is no UUID.
            Gone: the answer to a repeated command is not in the log any more.
        """
        self._pending = pending = _Pending[S]()
        records: list[Addressed] = []
        for key, command in commands:
            identity = UUID(command.command_id).bytes
            if identity in self._answers:
                self._answer_again(key, command, identity, records)
                continue
            if identity in pending.decided:
                raise ValueError(f"command {command.command_id} comes twice in one call")
            pending.decided.add(identity)
            self._decide(key, command, identity, records)
        return records

    def _decide(self, key: str, command: Command, identity: bytes, records: list[Addressed]) -> None:
        definition, states = self._definition, self._pending.states
        state = self._counting(states[key] if key in states else self._states.get(key), command.issued_at)
        self._pending.latest = max(self._pending.latest, command.issued_at)
        follow_ups: list[Addressed] = []
        for event in definition.decide(state, command):
            state = definition.evolve(state, event)
            reactions = definition.react(state, event)
            records.append(Addressed(definition.events_topic, key, event))
            self._pending.written.append(_Written(identity, False, event if reactions else None))
            follow_ups.extend(reactions)
        states[key] = state
        self._add_follow_ups(follow_ups, records)

    def _answer_again(self, key: str, command: Command, identity: bytes, records: list[Addressed]) -> None:
        """Point to the first answer, and send again what followed from it: it may be what the answer was lost with."""
        definition, known = self._definition, self._answers[identity]
        times = self._pending.times.get(identity, known.times)
        self._pending.times[identity] = times + 1
        records.append(Addressed(definition.events_topic, key, definition.repeat(command, times, known.last)))
        self._pending.written.append(_Written(identity, True, None))
        if known.followed:
            state = self._pending.states.get(key, self._states.get(key))
            events = self._at_hand.get(identity) or self._answered(command, known)
            self._add_follow_ups([record for event in events for record in definition.react(state, event)], records)

    def _answered(self, command: Command, known: Answer) -> list[Event]:
        """The events that a command was answered with, from the log."""
        read = self._recall(known.last - known.extent, known.last)
        repeated = self._definition.repeated
        events = [event for event in read if event.command_id == command.command_id and not isinstance(event, repeated)]
        if not events:
            raise Gone(f"command {command.command_id} was answered at offset {known.last}, where no event of it is")
        return events

    def _add_follow_ups(self, follow_ups: Sequence[Addressed], records: list[Addressed]) -> None:
        records.extend(follow_ups)
        self._pending.written.extend([None] * len(follow_ups))

    def keep(self, offsets: Sequence[int]) -> None:
        pending, self._pending = self._pending, _Pending[S]()
        for place, offset in zip(pending.written, offsets, strict=True):
            if place is not None:
                self._remember(place, offset)
        for key, state in pending.states.items():
            self._put(key, state)
        self._latest = max(self._latest, pending.latest)

    def drop(self) -> None:
        self._pending = _Pending[S]()

    def fold(self, key: str, event: Event, offset: int) -> None:
        identity = UUID(event.command_id).bytes
        if isinstance(event, self._definition.repeated):
            self._remember(_Written(identity, True, None), offset)
            return
        state = self._definition.evolve(self._counting(self._states.get(key), event.occurred_at), event)
        self._latest = max(self._latest, event.occurred_at)
        followed = bool(self._definition.react(state, event))
        self._remember(_Written(identity, False, event if followed else None), offset)
        self._put(key, state)

    def _counting(self, state: S | None, now: int) -> S | None:
        return None if state is not None and self._definition.forgets(state, now) else state

    def _put(self, key: str, state: S | None) -> None:
        if state is None:
            self._states.pop(key, None)
        else:
            self._states[key] = state

    def _remember(self, written: _Written, offset: int) -> None:
        """An event of a command is in the log. A command that came again counts as new: it may come once more."""
        known = self._answers.pop(written.identity, None)
        if written.repeated:
            if known is not None:  # else it is of a time when more were remembered
                self._answers[written.identity] = known._replace(times=known.times + 1)
            return
        first = offset if known is None else known.last - known.extent
        followed = written.event is not None or (known is not None and known.followed)
        self._answers[written.identity] = Answer(offset, offset - first, 0, followed)
        if written.event is not None:
            self._at_hand.setdefault(written.identity, []).append(written.event)
            if len(self._at_hand) > AT_HAND:
                del self._at_hand[next(iter(self._at_hand))]
        if len(self._answers) > self._remembered:
            oldest = next(iter(self._answers))
            del self._answers[oldest]
            self._at_hand.pop(oldest, None)

    def snapshot(self) -> bytes:
        """The kept state; what is pending is not in it. States that have long counted as none are let go first."""
        now = self._latest - FORGOTTEN_MICROSECONDS
        for key in [key for key, state in self._states.items() if self._definition.forgets(state, now)]:
            del self._states[key]
        states = msgspec.Raw(msgspec.msgpack.encode(self._states))
        return msgspec.msgpack.encode(_Snapshot(states, list(self._answers.items())))

    def restore(self, data: bytes) -> None:
        """
        Raises:
            msgspec.DecodeError: it is no snapshot of this revision.
        """
        read = msgspec.msgpack.decode(data, type=_Snapshot)
        self._states = self._decoder.decode(read.states)
        self._answers, self._at_hand = dict(read.answers), {}
        self._pending = _Pending[S]()


def _states_of(state_type: Any) -> Any:
    return dict[str, state_type]
