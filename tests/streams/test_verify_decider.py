"""A decider's verification finds what was lost, doubled, changed or made up, and nothing in an undisturbed log."""

from collections.abc import Callable
from typing import Any

import pytest

from schemas.log import TopicPartition
from streams.verify_decider import DeciderVerdict, verify_decider
from tests.streams.decider_harness import Harness
from tests.streams.toy import COMMANDS, EVENTS, PARTITIONS, Accounts, Deposited, codecs, deposit, withdraw
from tests.streams.toy_deciders import harness


def filled() -> Harness:
    made = harness()
    for number in range(60):
        which = number if number % 7 else max(0, number - 3)  # some come again
        made.send(COMMANDS, f"k{which % 5}", deposit(which, 100) if which % 2 else withdraw(which, 30))
        if number % 10 == 0:
            made.run()
    made.run()
    return made


def verdict(made: Harness) -> DeciderVerdict:
    return verify_decider(Accounts(), made.log, made.codecs)


def test_an_undisturbed_log_is_equal() -> None:
    made = filled()
    found = verdict(made)
    assert found.equal, found
    assert found.commands == len(made.records(COMMANDS))
    assert found.events == len(made.records(EVENTS))
    assert (found.undecided, found.folded) == (0, 0)


def test_commands_at_the_end_may_wait() -> None:
    made = filled()
    made.send(COMMANDS, "k1", deposit(1_000, 1))
    found = verdict(made)
    assert (found.equal, found.undecided) == (True, 1)


def test_garbage_that_was_set_aside_is_no_difference() -> None:
    made = filled()
    source = made.send(COMMANDS, "k1", deposit(1_000, 1))
    made.log.append(source, b"k1", b"garbage")
    made.run()
    assert verdict(made).equal


def copied(made: Harness, change: Callable[[list[Any]], list[Any]], topic: str = EVENTS) -> Harness:
    """The same log, but for one partition of a topic."""
    other = Harness(codecs(), {COMMANDS: PARTITIONS, EVENTS: PARTITIONS})
    longest = max(range(PARTITIONS), key=lambda p: len([r for r in made.records(EVENTS) if r.partition == p]))
    for name in (COMMANDS, EVENTS):
        for partition in range(PARTITIONS):
            records = [record for record in made.records(name) if record.partition == partition]
            for record in change(records) if (name, partition) == (topic, longest) else records:
                value = other.codecs[name].encode(record.message)
                other.log.append(TopicPartition(name, partition), record.key.encode(), value)
    return other


def changed(records: list[Any]) -> list[Any]:
    at = next(i for i, record in enumerate(records) if isinstance(record.message, Deposited))
    message = records[at].message
    fields = {name: getattr(message, name) for name in message.__struct_fields__} | {"amount": 7}
    return [*records[:at], records[at]._replace(message=Deposited(**fields)), *records[at + 1 :]]


@pytest.mark.parametrize(
    "change",
    [
        lambda records: records[:3] + records[4:],
        lambda records: records[:4] + records[3:],
        lambda records: [*records[:2], records[3], records[2], *records[4:]],
        changed,
        lambda records: [*records, records[0]],
    ],
    ids=["lost", "doubled", "exchanged", "changed", "made up"],
)
def test_any_other_log_differs(change: Callable[[list[Any]], list[Any]]) -> None:
    assert not verdict(copied(filled(), change)).equal


def test_a_command_that_should_have_followed_is_missed() -> None:
    made = harness()
    made.send(COMMANDS, "a", deposit(1, 100))
    made.run()
    (greet,) = [record for record in made.records(COMMANDS) if record.key.startswith("friend")]
    other = Harness(codecs(), {COMMANDS: PARTITIONS, EVENTS: PARTITIONS})
    for name in (COMMANDS, EVENTS):
        for record in made.records(name):
            if record.message.command_id != greet.message.command_id:
                value = other.codecs[name].encode(record.message)
                other.log.append(TopicPartition(name, record.partition), record.key.encode(), value)
    found = verdict(other)
    assert (found.missing, found.differing) == ([greet.message.command_id], [])


def test_events_of_commands_that_are_no_longer_kept_are_folded() -> None:
    made = filled()
    for partition in range(PARTITIONS):
        made.log.truncate(TopicPartition(COMMANDS, partition), 4)
    found = verdict(made)
    assert found.folded > 0
    assert found.commands > 0
