"""Where a decider stands after a restart: the group's position, and the state from a snapshot and the tail of the log."""

from typing import Any

import pytest

from connectors.ports import Away
from schemas.log import TopicPartition
from schemas.partitioner import partition_of
from streams.aggregate_decider import recall
from streams.aggregates import Aggregates
from streams.restoring import Restorer, UnknownPosition
from tests.streams.toy import COMMANDS, EVENTS, PARTITIONS, Deposited, deposit
from tests.streams.toy_deciders import accounts, harness


def test_a_snapshot_saves_the_fold_and_one_of_another_log_is_not_used() -> None:
    made = harness()
    running = made.deciders[0]
    for number in range(20):
        made.send(COMMANDS, "a", deposit(number, 5))
    made.run()
    running.runner.save(1)
    (snapshot,) = made.snapshots.kept.values()
    made.send(COMMANDS, "a", deposit(20, 5))
    made.run()
    running.restart()
    assert accounts(running)["a"].balance == 105
    source = TopicPartition(COMMANDS, partition_of(b"a", PARTITIONS))
    assert running.runner._stands[source].restored.since_saved == 1, "only the tail was folded"
    key = next(iter(made.snapshots.kept))
    other = type(snapshot)(snapshot.following, snapshot.newest, "another", snapshot.state)
    for bad in (other, type(snapshot)(snapshot.following, snapshot.newest, snapshot.newest_id, b"\xc1")):
        made.snapshots.kept[key] = bad
        running.restart()
        assert accounts(running)["a"].balance == 105
        assert running.runner._stands[source].restored.since_saved == 21
    made.snapshots.away = True
    running.runner.save(1)
    running.restart()
    assert accounts(running)["a"].balance == 105


def test_a_lost_position_is_not_guessed() -> None:
    """The broker forgot the group's offsets: deciding all commands anew would answer old ones twice."""
    made = harness()
    running = made.deciders[0]
    source = made.send(COMMANDS, "a", deposit(1, 5))
    made.run()
    running.group.offsets.clear()
    running.restart()
    made.send(COMMANDS, "a", deposit(2, 5))
    with pytest.raises(UnknownPosition):
        running.runner.handle(list(made.log.read(source, 0, 10)), running.member)


def test_commands_that_were_forgotten_before_they_were_decided_are_not_passed_over() -> None:
    made = harness()
    running = made.deciders[0]
    source = made.send(COMMANDS, "a", deposit(1, 5))
    made.run()
    for number in range(2, 9):
        made.send(COMMANDS, "a", deposit(number, 5))
    made.log.truncate(source, 5)
    running.restart()
    with pytest.raises(UnknownPosition):
        running.runner.handle(list(made.log.read(source, 5, 10)), running.member)


def test_an_open_transaction_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = harness()
    running = made.deciders[0]
    source = made.send(COMMANDS, "a", deposit(1, 5))
    events = TopicPartition(EVENTS, source.partition)
    monkeypatch.setattr("streams.restoring.WAIT_SECONDS", 0.05)
    restorer = Restorer(made.log, made.codecs[EVENTS], lambda s: 1 if s == events else 0, made.snapshots)
    with pytest.raises(Away, match="open"):
        restorer.restore(running.runner.decider, [source], running.group.committed)
    made.log.append(events, b"a", made.codecs[EVENTS].encode(Deposited(**_event(1), amount=9)))
    running.group.offsets[source] = 1
    restored = restorer.restore(running.runner.decider, [source], running.group.committed)[source]
    assert isinstance(restored.machine, Aggregates)
    assert (restored.machine.states["a"].balance, restored.following) == (9, 1)


def _event(number: int) -> dict[str, Any]:
    made = deposit(number, 0)
    names = {"command_id": made.command_id, "correlation_id": made.correlation_id, "actor": "x"}
    return {**names, "event_id": made.command_id, "occurred_at": 0, "received_at": 0}


def test_an_answer_of_a_moment_ago_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction is committed, and the end of what can be read is still before it."""
    made = harness()
    source = made.send(COMMANDS, "a", deposit(1, 100))
    made.run()
    events, bounds = TopicPartition(EVENTS, source.partition), made.log.bounds
    asked: list[int] = []

    def late(topics: Any) -> Any:
        asked.append(1)
        return bounds(topics) if len(asked) > 3 else {events: (0, 0)}

    monkeypatch.setattr(made.log, "bounds", late)
    (event,) = recall(made.log, made.codecs[EVENTS], events, 0, 0)
    assert isinstance(event, Deposited)
    monkeypatch.setattr("streams.aggregate_decider.WAIT_SECONDS", 0.01)
    monkeypatch.setattr(made.log, "bounds", lambda topics: {events: (0, 0)})
    with pytest.raises(Away):
        recall(made.log, made.codecs[EVENTS], events, 0, 0)
