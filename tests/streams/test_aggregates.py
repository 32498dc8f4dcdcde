"""Aggregates: any grouping of commands into transactions, some of them aborted, with restarts in between, gives the same log
and the same state as one straight run; a command that comes again is answered as the first time."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.messages import Event
from streams.aggregates import Aggregates, Gone
from streams.identities import event_id, follow_up_id, repeat_id
from streams.machine import Addressed, Keyed
from tests.streams.toy import (
    EVENTS,
    Account,
    Accounts,
    Deposited,
    Greet,
    Refused,
    Repeated,
    Withdrawn,
    command_id,
    deposit,
    withdraw,
)


class Partition:
    """One partition of the event topic, and all that was sent elsewhere."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event] | None] = []  # None: a control record
        self.sent: list[Addressed] = []

    def machine(self, remembered: int = 1_000) -> Aggregates[Account]:
        return Aggregates(Accounts(), self.recall, remembered)

    def recall(self, first: int, last: int) -> Sequence[Event]:
        return [record[1] for record in self.events[first : last + 1] if record is not None]

    def commit(self, records: Sequence[Addressed]) -> list[int]:
        offsets = []
        for record in records:
            if record.topic == EVENTS:
                assert isinstance(record.message, Event)
                offsets.append(len(self.events))
                self.events.append((record.key, record.message))
            else:
                offsets.append(-1)
                self.sent.append(record)
        self.events.append(None)
        return offsets

    def run(self, machine: Aggregates[Account], commands: Sequence[Keyed]) -> list[Addressed]:
        records = machine.work(commands)
        machine.keep(self.commit(records))
        return records

    def folded(self, machine: Aggregates[Account], start: int) -> Aggregates[Account]:
        for offset, record in enumerate(self.events[start:], start):
            if record is not None:
                machine.fold(*record, offset)
        return machine

    @property
    def kept(self) -> list[tuple[str, Event]]:
        return [record for record in self.events if record is not None]


keys = st.sampled_from(["a", "b", "c"])
amounts = st.sampled_from([1, 5, 40, 100])
numbered = st.lists(st.tuples(keys, st.booleans(), amounts), max_size=30)


@st.composite
def plays(draw: st.DrawFn) -> tuple[list[list[Keyed]], list[str]]:
    """Commands, some of which come again, cut into batches in which no new id comes twice, and what happens after each
    batch."""
    first = [
        Keyed(key, deposit(number, amount) if adds else withdraw(number, amount))
        for number, (key, adds, amount) in enumerate(draw(numbered))
    ]
    stream = list(first)
    for keyed in draw(st.lists(st.sampled_from(first), max_size=8)) if first else []:
        earliest = stream.index(keyed)
        stream.insert(draw(st.integers(earliest + 1, len(stream))), keyed)
    batches: list[list[Keyed]] = [[]]
    settled: set[str] = set()
    for keyed in stream:
        fresh = {k.command.command_id for k in batches[-1]} - settled
        if keyed.command.command_id in fresh or draw(st.booleans()):
            settled |= fresh
            batches.append([])
        batches[-1].append(keyed)
    after = [draw(st.sampled_from(["go on", "abort first", "restart", "snapshot", "restore"])) for _ in batches]
    return batches, after


@settings(deadline=None)
@given(plays())
def test_batches_aborts_and_restarts_leave_no_trace(play: tuple[list[list[Keyed]], list[str]]) -> None:
    batches, after = play
    straight = Partition()
    machine = straight.machine()
    for batch in batches:
        settled: set[str] = set()
        for keyed in batch:
            straight.run(machine, [keyed])
            settled.add(keyed.command.command_id)
    tried = Partition()
    other = tried.machine()
    saved = other.snapshot(), 0
    for batch, then in zip(batches, after, strict=True):
        if then == "abort first":
            other.work(batch)
            other.drop()
        tried.run(other, batch)
        if then == "restart":
            other = tried.folded(tried.machine(), 0)
        elif then == "snapshot":
            saved = other.snapshot(), len(tried.events)
        elif then == "restore":
            other = tried.machine()
            other.restore(saved[0])
            tried.folded(other, saved[1])
    assert other.states == machine.states
    assert [_placeless(record) for record in tried.kept] == [_placeless(record) for record in straight.kept]
    assert tried.sent == straight.sent
    _check_repeats(tried)
    folded = tried.folded(tried.machine(), 0)
    assert folded.states == other.states
    assert list(folded._answers.items()) == list(other._answers.items()), "the same is forgotten next"


def _placeless(record: tuple[str, Event]) -> tuple[str, Any]:
    """Where control records lie, and so the offsets, depends on the transactions."""
    key, event = record
    return key, (event.event_id, Repeated) if isinstance(event, Repeated) else event


def _check_repeats(partition: Partition) -> None:
    """Every command was decided once, and each repeat points to the last event of its decision."""
    last: dict[str, int] = {}
    identities = [event.event_id for _, event in partition.kept]
    assert len(set(identities)) == len(identities)
    for offset, record in enumerate(partition.events):
        if record is not None and isinstance(record[1], Repeated):
            assert record[1].answer_offset == last[record[1].command_id]
        elif record is not None:
            last[record[1].command_id] = offset


def test_a_repeat_is_answered_and_sends_again_what_followed() -> None:
    partition = Partition()
    machine = partition.machine()
    first = partition.run(machine, [Keyed("a", deposit(1, 100))])
    again = partition.run(machine, [Keyed("a", deposit(1, 100)), Keyed("a", deposit(1, 100))])
    assert [type(record.message) for record in first] == [Deposited, Greet]
    assert first[1].message.command_id == follow_up_id(command_id(1), "Greet")
    assert [type(record.message) for record in again] == [Repeated, Greet, Repeated, Greet]
    assert again[1] == again[3] == first[1]
    assert [r.message.answer_offset for r in again if isinstance(r.message, Repeated)] == [0, 0]
    identities = [record.message.event_id for record in again if isinstance(record.message, Repeated)]
    assert identities == [repeat_id(command_id(1), 0), repeat_id(command_id(1), 1)]
    assert machine.states["a"].balance == 100


def test_a_repeat_is_answered_after_a_restart_and_counts_on() -> None:
    partition = Partition()
    partition.run(machine := partition.machine(), [Keyed("a", deposit(1, 6)), Keyed("a", withdraw(2, 4))])
    partition.run(machine, [Keyed("a", withdraw(2, 4))])
    (again,) = partition.run(partition.folded(partition.machine(), 0), [Keyed("a", withdraw(2, 4))])
    assert isinstance(again.message, Repeated)
    assert (again.message.answer_offset, again.message.event_id) == (2, repeat_id(command_id(2), 1))


def test_a_refusal_changes_nothing_and_is_answered_again() -> None:
    partition = Partition()
    machine = partition.machine()
    (refused,) = partition.run(machine, [Keyed("a", withdraw(1, 4))])
    assert isinstance(refused.message, Refused)
    assert refused.message.event_id == event_id(command_id(1), 0)
    assert machine.states == {}
    partition.run(machine, [Keyed("a", deposit(2, 10))])
    (again,) = partition.run(machine, [Keyed("a", withdraw(1, 4))])
    assert isinstance(again.message, Repeated), "what was refused stays refused"


def test_a_batch_sees_its_own_changes_and_events_of_one_command_are_neighbours() -> None:
    partition = Partition()
    machine = partition.machine()
    records = partition.run(machine, [Keyed("a", deposit(1, 10)), Keyed("a", withdraw(2, 10)), Keyed("a", withdraw(3, 1))])
    assert [type(record.message) for record in records] == [Deposited, Withdrawn, Withdrawn, Refused]
    assert machine.states["a"].balance == 0


def test_the_oldest_commands_are_forgotten_also_by_the_fold() -> None:
    partition = Partition()
    machine = partition.machine(remembered=2)
    for number in range(4):
        partition.run(machine, [Keyed("a", deposit(number, 1))])
    folded = partition.folded(partition.machine(remembered=2), 0)
    assert folded.snapshot() == machine.snapshot()
    (record,) = machine.work([Keyed("a", deposit(2, 1))])
    assert isinstance(record.message, Repeated)
    (record,) = machine.work([Keyed("a", deposit(0, 1))])
    assert isinstance(record.message, Deposited)


def test_a_new_command_twice_in_one_call_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="twice"):
        Partition().machine().work([Keyed("a", deposit(1, 1)), Keyed("a", deposit(1, 1))])


def test_an_answer_that_the_log_lost_is_a_fault() -> None:
    partition = Partition()
    machine = partition.machine()
    partition.run(machine, [Keyed("a", deposit(1, 100))])
    restored = partition.machine()
    restored.restore(machine.snapshot())
    partition.events[0] = None
    with pytest.raises(Gone):
        restored.work([Keyed("a", deposit(1, 100))])


def test_answers_that_are_no_longer_at_hand_are_read_from_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.aggregates.AT_HAND", 2)
    partition = Partition()
    machine = partition.machine()
    first = [partition.run(machine, [Keyed("a", deposit(number, 100))]) for number in range(4)]
    for number, records in enumerate(first):
        again = machine.work([Keyed("a", deposit(number, 100))])
        assert again[1] == records[1]
