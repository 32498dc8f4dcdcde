"""The decider's runner on a log in memory: every command is decided once, whatever fails in between."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.ports import Away
from connectors.transactions import Disowned
from schemas.log import Batch, TopicPartition
from schemas.messages import Event
from schemas.partitioner import partition_of
from streams.aggregate_decider import aggregate_decider
from streams.decider import Broken, Decider
from streams.limits import TooManyBadRecords
from streams.runner import NotOwned
from tests.streams.decider_harness import Harness
from tests.streams.toy import (
    COMMANDS,
    EVENTS,
    PARTITIONS,
    Accounts,
    Deposited,
    Greeted,
    Refused,
    Repeated,
    Withdrawn,
    codecs,
    deposit,
    withdraw,
)
from tests.streams.toy_deciders import accounts, harness


def test_commands_become_events_in_the_partition_of_their_key() -> None:
    made = harness()
    for number, key in enumerate("abcdefgh"):
        made.send(COMMANDS, key, deposit(number, 10))
    made.run()
    records = made.records(EVENTS)
    assert sorted(record.key for record in records) == sorted("abcdefgh")
    assert all(record.partition == partition_of(record.key.encode(), PARTITIONS) for record in records)


def test_follow_ups_are_decided_too_and_a_repeat_ends_at_the_same_answers() -> None:
    made = harness()
    made.send(COMMANDS, "a", deposit(1, 100))
    made.run()
    assert Counter(type(record.message) for record in made.records(EVENTS)) == {Deposited: 1, Greeted: 1}
    made.send(COMMANDS, "a", deposit(1, 100))
    made.run()
    assert Counter(type(r.message) for r in made.records(EVENTS)) == {Deposited: 1, Greeted: 1, Repeated: 2}
    first = {(r.partition, r.offset): r.message for r in made.records(EVENTS)}
    for record in made.records(EVENTS):
        if isinstance(record.message, Repeated):
            answer = first[(record.partition, record.message.answer_offset)]
            assert answer.command_id == record.message.command_id
            assert not isinstance(answer, Repeated)


def test_the_same_new_command_many_times_in_one_poll() -> None:
    made = harness()
    for _ in range(50):
        made.send(COMMANDS, "a", deposit(1, 7))
    made.send(COMMANDS, "a", withdraw(2, 7))
    made.run()
    kinds = Counter(type(record.message) for record in made.records(EVENTS))
    assert kinds == {Deposited: 1, Repeated: 49, Withdrawn: 2}
    assert made.records(EVENTS)[-1].message.balance == 0  # type: ignore[attr-defined]


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 11), max_size=40))
def test_whatever_fails_each_command_is_decided_once(source: random.Random, numbers: list[int]) -> None:
    """Away before the write, fenced, an answer that was lost, a restart, a snapshot: in any order."""
    made = harness()
    running = made.deciders[0]
    for number in numbers:
        made.send(COMMANDS, "abc"[number % 3], deposit(number, 100) if number % 2 else withdraw(number, 3))
        chance = source.random()
        running.transactions.away = chance < 0.2
        running.transactions.lose_answers = 0.2 <= chance < 0.4
        if 0.4 <= chance < 0.5:
            running.group.join()
        if 0.5 <= chance < 0.6:
            running.runner.save(1)
        try:
            running.step()
        except Away:
            pass
        except Disowned:
            running.restart()
        if chance > 0.9:
            running.restart()
    running.transactions.away = running.transactions.lose_answers = False
    while True:
        try:
            made.run()
            break
        except Disowned:
            running.restart()
    events = [r.message for r in made.records(EVENTS)]
    decided = {e.command_id for e in events if isinstance(e, Event) and not isinstance(e, Repeated)}
    assert len({e.event_id for e in events if isinstance(e, Event)}) == len(events)
    assert len([e for e in events if isinstance(e, Repeated)]) >= len(numbers) - len(set(numbers))
    assert len(decided) >= len(set(numbers))
    kept = accounts(running)
    running.restart()
    assert accounts(running) == kept


def test_what_is_no_command_is_set_aside_once_and_the_rest_decided() -> None:
    made = harness()
    running = made.deciders[0]
    source = made.send(COMMANDS, "a", deposit(1, 5))
    bad = [(b"a", b"{}"), (b"a", None), (b"\xff", made.codecs[COMMANDS].encode(deposit(2, 1)))]
    for key, value in [*bad, (None, made.codecs[COMMANDS].encode(deposit(3, 1)))]:
        made.log.append(source, key, value)
    nameless = deposit(4, 1)
    made.log.append(source, b"a", made.codecs[COMMANDS].encode(type(nameless)(**_fields(nameless) | {"command_id": "x"})))
    made.send(COMMANDS, "a", deposit(5, 5))
    running.transactions.away = True
    with pytest.raises(Away):
        made.run()
    running.transactions.away = False
    made.run()
    assert [letter.reason for letter in made.dead_letters.letters] == [
        *["undecodable"] * 2,
        *["bad-key"] * 2,
        "bad-id",
    ]
    assert {letter.view for letter in made.dead_letters.letters} == {"toy"}
    assert accounts(running)["a"].balance == 10


def _fields(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}


def test_a_stream_of_garbage_halts() -> None:
    made = harness()
    source = made.send(COMMANDS, "a", deposit(1, 5))
    for _ in range(200):
        made.log.append(source, b"a", b"garbage")
    with pytest.raises(TooManyBadRecords):
        made.run()
    assert made.dead_letters.letters == []


def test_dead_letters_that_are_away_hold_the_position() -> None:
    made = harness()
    source = made.send(COMMANDS, "a", deposit(1, 5))
    made.log.append(source, b"a", b"garbage")
    made.dead_letters.away = True
    with pytest.raises(Away):
        made.run()
    assert made.records(EVENTS) == []
    made.dead_letters.away = False
    made.run()
    assert len(made.dead_letters.letters) == len(made.records(EVENTS)) == 1


class Faulty(Accounts):
    """Has a bug that one amount brings out."""

    def decide(self, state: Any, command: Any) -> Any:
        if getattr(command, "amount", 0) == 13:
            raise ZeroDivisionError("a bug")
        return super().decide(state, command)


def test_a_bug_leaves_nothing_of_its_poll_and_the_others_can_go_on() -> None:
    made = Harness(codecs(), {COMMANDS: PARTITIONS, EVENTS: PARTITIONS})
    running = made.add(aggregate_decider(Faulty(), made.log, made.codecs[EVENTS]))
    made.send(COMMANDS, "a", deposit(1, 5))
    made.send(COMMANDS, "a", deposit(2, 13))
    other = next(k for k in "bcdefg" if partition_of(k.encode(), PARTITIONS) != partition_of(b"a", PARTITIONS))
    source = made.send(COMMANDS, other, deposit(3, 5))
    with pytest.raises(ZeroDivisionError):
        running.step()
    assert made.records(EVENTS) == []
    running.runner.handle(list(made.log.read(source, 0, 10)), running.member)
    assert [record.key for record in made.records(EVENTS)] == [other]


def test_a_refusal_is_counted_by_its_code() -> None:
    made = harness()
    running = made.deciders[0]
    source = made.send(COMMANDS, "a", withdraw(1, 5))
    handled = running.runner.handle(list(made.log.read(source, 0, 10)), running.member)
    assert handled.refusals == {"OVERDRAWN": 1}
    assert (handled.commands, handled.records, handled.transactions) == (1, 1, 1)
    assert handled.following == {source: 1}
    assert isinstance(made.records(EVENTS)[0].message, Refused)


def test_a_partition_that_was_not_started_is_not_decided() -> None:
    made = harness()
    with pytest.raises(NotOwned):
        made.deciders[0].runner.handle([Batch(TopicPartition(COMMANDS, 99), range(1), [b"a"], [b""])], 1)


def test_what_was_committed_is_not_decided_again_when_the_machine_breaks() -> None:
    made = harness()
    running = made.deciders[0]
    source = made.send(COMMANDS, "a", deposit(1, 5))
    machine = running.runner._stands[source].machine
    machine.keep = lambda offsets: 1 / 0  # type: ignore[attr-defined, method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        running.step()
    made.send(COMMANDS, "a", deposit(2, 5))
    with pytest.raises(Broken):
        running.step()
    assert len(made.records(EVENTS)) == 1


def test_deciders_are_made_per_partition() -> None:
    made = Harness(codecs(), {COMMANDS: PARTITIONS, EVENTS: PARTITIONS})
    asked: list[int] = []
    inner = aggregate_decider(Accounts(), made.log, made.codecs[EVENTS])
    made.add(Decider("toy", COMMANDS, EVENTS, lambda partition: asked.append(partition) or inner.make_machine(partition)))  # type: ignore[func-returns-value]
    assert set(asked) == set(range(PARTITIONS))
