"""The engines' runner on a log in memory: whatever is killed when, each alert is there once, and timers fire."""

import random
from typing import Any
from uuid import uuid4

import pytest

from schemas.alert_messages import ALERTS
from schemas.log import TopicPartition
from schemas.rule_messages import RULE_COMMANDS, RuleSuspended
from streams.rules.active import Slot
from streams.rules.budget import Budget, Spending
from streams.rules.engine import Engine
from streams.rules.ports import Timing
from streams.rules.run import Spent
from streams.rules.runner import EngineFailed
from tests.streams.rules.crew import HOME, Crew
from tests.streams.rules.world import SECOND, ToyRule, World, told

TIMING = Timing(hold=3 * SECOND, silent_after=6 * SECOND, on_silence="alert")


def story(crew: Crew, seed: int, seconds: int = 60) -> None:
    """Readings of some devices, one of which falls silent, over some time, with turns in between."""
    source, world = random.Random(seed), crew.world
    world.rule(ToyRule(above=100.0, timing=TIMING))
    world.rule(ToyRule(above=110.0, below=90.0), rule_id="hotter")
    for second in range(1, seconds):
        for device in ("a", "b", "c", "d"):
            if device != "d" or not 20 < second < 40:
                world.reading(device, second, temperature=source.choice([80.0, 105.0, 120.0, 120.0]))
        for _ in range(source.choice([0, 1, 1, 2])):
            crew.turn(second)
    crew.settle(seconds)
    crew.settle(seconds + 20)


def again(crew: Crew) -> list[tuple[str, str, float]]:
    """What the inputs lead to by the cuts that the log holds."""
    engine = Engine(crew.world.make_state())
    return told([event for cut in crew.cuts() for event in crew.world.play(engine, [cut])])


@pytest.mark.parametrize("seed", range(3))
def test_kills_lose_nothing_and_double_nothing(seed: int) -> None:
    crew = Crew(World(), random.Random(seed))
    story(crew, seed)
    events = crew.alerts()
    assert crew.processes > 3, "some were killed"
    assert len({event.event_id for event in events}) == len(events) > 20
    assert told(events) == again(crew)
    positions = crew.runner._standings[0].engine.state.positions
    for topic in ("fleet.telemetry", "fleet.rules"):
        source = TopicPartition(topic, 0)
        assert positions[source] == crew.world.log.bounds([topic])[source][1], "everything was taken"


@pytest.mark.parametrize("seed", range(2))
def test_with_or_without_kills_the_same_fires_in_event_time(seed: int) -> None:
    """Silence aside, what fires does not depend on when cuts are made."""
    found = []
    for chance in (None, random.Random(seed)):
        crew = Crew(World(), chance)
        story(crew, seed, seconds=30)
        found.append(sorted(one for one in told(crew.alerts()) if one[1] != "d"))
    assert [one for one in found[0] if one[2] < 30] == [one for one in found[1] if one[2] < 30]


def test_nothing_is_written_when_nothing_comes() -> None:
    crew = Crew(World())
    crew.settle(1)
    cuts = len(crew.cuts())
    for second in range(2, 10):
        crew.turn(second)
    assert len(crew.cuts()) == cuts == 1, "the first cut says where all inputs begin"


def test_registrations_wait_for_more_but_nothing_waits_for_them() -> None:
    crew = Crew(World())
    crew.settle(1)
    crew.patience = SECOND
    crew.world.session("a")
    assert (crew.took(2), crew.waiting) == (0, True)
    crew.world.session("b")
    assert (crew.took(3), crew.waiting) == (2, False), "the first one has waited long enough"
    crew.world.session("c")
    assert (crew.took(3.1), crew.waiting) == (0, True)
    crew.world.reading("a", 3.2, temperature=20.0)
    assert (crew.took(3.2), crew.waiting) == (2, False), "the reading takes the session along"
    fleet = crew.runner._standings[0].engine.state.fleet
    assert [fleet.of(device).model for device in ("a", "b", "c", "d")] == ["m", "m", "m", None]


def test_a_timer_does_not_wait_for_registrations() -> None:
    crew = Crew(World())
    crew.world.rule(ToyRule(above=100.0, timing=TIMING))
    crew.world.reading("a", 1, temperature=120.0)
    crew.settle(1)
    crew.patience = 60 * SECOND
    crew.world.session("b")
    crew.turn(2)
    assert told(crew.alerts()) == [("AlertPending", "a", 1)]
    crew.turn(4)
    assert told(crew.alerts()) == [("AlertPending", "a", 1), ("AlertFired", "a", 4)]


def test_timers_fire_with_nothing_coming() -> None:
    crew = Crew(World())
    crew.world.rule(ToyRule(above=100.0, timing=TIMING))
    crew.world.reading("a", 1, temperature=120.0)
    crew.settle(1)
    crew.settle(4)
    assert told(crew.alerts()) == [("AlertPending", "a", 1), ("AlertFired", "a", 4)]


def test_the_clock_waits_for_what_is_not_read_yet() -> None:
    """A process comes back after a long time: the devices that sent meanwhile were not silent."""
    crew = Crew(World())
    crew.world.rule(ToyRule(above=100.0, timing=TIMING))
    crew.world.reading("a", 1, temperature=20.0)
    crew.settle(1)
    for second in range(3, 120, 2):
        crew.world.reading("a", second, temperature=20.0)
    crew.runner = crew.started()
    crew.settle(120)
    assert crew.alerts() == []
    crew.settle(126)
    assert told(crew.alerts()) == [("AlertFired", "a", 125)]


def test_a_zombie_writes_nothing() -> None:
    crew = Crew(World())
    crew.world.rule(ToyRule(above=100.0))
    crew.settle(1)
    zombie, member = crew.runner, crew.member
    crew.runner = crew.started()
    crew.world.reading("a", 2, temperature=120.0)
    crew.settle(2)
    assert len(crew.alerts()) == 1
    crew.world.reading("a", 3, temperature=20.0)
    crew.runner, crew.member, living = zombie, member, (crew.runner, crew.member)
    assert crew.turn(3) is None
    assert len(crew.alerts()) == 1
    crew.runner, crew.member = living
    crew.runner = crew.started()
    crew.settle(3)
    assert told(crew.alerts()) == [("AlertFired", "a", 2), ("AlertResolved", "a", 3)]


def test_a_log_that_holds_other_alerts_than_its_inputs_lead_to_halts() -> None:
    crew = Crew(World())
    crew.world.rule(ToyRule(above=100.0))
    crew.world.reading("a", 1, temperature=120.0)
    crew.settle(1)
    forged = crew.world.codecs[ALERTS].encode(crew.alerts()[0])
    crew.world.log.append(TopicPartition(ALERTS, 0), b"a", forged)
    crew.snapshots.kept.clear()
    crew.runner = crew.started()
    crew.runner.keep_only([0])
    with pytest.raises(EngineFailed, match="which no cut leads to") as failed:
        crew.runner.turn([], lambda: crew.member, 0.0)
    assert failed.value.partition == 0
    assert crew.runner.position(HOME) is None


def test_nothing_is_done_for_a_partition_that_went_again_before_it_was_read() -> None:
    crew = Crew(World())
    crew.world.rule(ToyRule(above=100.0))
    crew.settle(1)
    crew.world.reading("a", 2, temperature=120.0)
    cuts, snapshots = crew.cuts(), dict(crew.snapshots.kept)
    crew.runner.start([HOME])
    for kept in ([], [5]):
        crew.runner.keep_only(kept)
        assert crew.runner.turn([], lambda: crew.member, 0.0).lag == {}
        crew.runner.save(0, 0.0, 1e9)
    assert crew.cuts() == cuts
    assert crew.alerts() == []
    assert crew.snapshots.kept == snapshots
    crew.settle(2)
    assert told(crew.alerts()) == [("AlertFired", "a", 2)], "once it is read, it is worked on"


def test_a_start_between_the_look_at_what_is_owned_and_the_turn() -> None:
    """What was looked at was another assignment: whether the new one is read is not known yet."""
    crew = Crew(World())
    crew.settle(1)
    cuts = crew.cuts()
    crew.world.reading("a", 2, temperature=120.0)
    crew.world.send("fleet.alerts.commands", "a", b"junk")
    crew.runner.keep_only([0])
    crew.runner.start([HOME])
    crew.runner.turn(list(crew.world.log.read(HOME, 0, 1)), lambda: crew.member, 0.0)
    assert crew.cuts() == cuts
    crew.runner.keep_only([0])
    assert crew.runner.turn([], lambda: crew.member, 0.0).counts.unreadable == 1, "the command was not lost"
    assert crew.runner.position(HOME) == 1


def commands(crew: Crew) -> list[Any]:
    source, codec = TopicPartition(RULE_COMMANDS, 0), crew.world._codec(RULE_COMMANDS)
    values = [v for b in crew.world.log.read(source, 0, crew.world.log.bounds([RULE_COMMANDS])[source][1]) for v in b.values]
    return [codec.decode(value) for value in values]


def test_a_rule_over_its_budget_is_suspended_by_an_event_and_by_nothing_else() -> None:
    crew = Crew(World())
    crew.world.rule(ToyRule(above=100.0, seconds=0.06), rule_id="slow")
    crew.world.rule(ToyRule(above=100.0, seconds=0.04))
    for second in range(1, 26):
        crew.world.reading("a", second, temperature=120.0 if second % 2 else 20.0)
        crew.settle(second)
    (command,) = commands(crew)
    assert (command.rule_id, command.version, command.reason) == ("slow", 1, "over_budget")
    assert (
        "0.060 s of processor time for 1 rows, where 0.050 s are allowed; the budget was exceeded 20 times" in command.detail
    )
    events = crew.alerts()
    assert sum(event.rule_id == "slow" for event in events) == 25, "until the event has come it is asked on"  # type: ignore[attr-defined]
    assert told(events) == again(crew)
    suspended = RuleSuspended(
        command_id=command.command_id, correlation_id=command.command_id, actor="engine", event_id=str(uuid4()),
        occurred_at=crew.now, received_at=crew.now, rule_id="slow", version=1, mode="live", reason="over_budget",
        detail=command.detail,
    )  # fmt: skip
    crew.world.message("fleet.rules", "rules", suspended)
    crew.world.reading("a", 27, temperature=20.0)
    crew.settle(27)
    crew.snapshots.kept.clear()
    crew.runner = crew.started()
    crew.world.reading("a", 28, temperature=120.0)
    crew.settle(28)
    behind = [(type(e).__name__, e.rule_id) for e in crew.alerts()[len(events) :]]  # type: ignore[attr-defined]
    assert behind == [("AlertResolved", "slow"), ("AlertResolved", "hot"), ("AlertFired", "hot")]
    assert told(crew.alerts()) == again(crew)


def test_a_rule_may_take_longer_for_many_rows_and_now_and_then() -> None:
    slot, spending = Slot("a", "live"), Spending(Budget(0.1, 0.01, 3))
    few, many, slow = Spent(0.1, 5), Spent(9.0, 900), Spent(0.2, 5)
    found = [bool(spending.over({slot: one})) for one in (few, many, slow, slow, few, slow, slow, slow, slow, slow, slow)]
    assert found == [False] * 7 + [True, False, False, True]
    assert spending.over({}) == {}
