"""What comes out of an engine: `for`, hysteresis, repeats, silence, late and repeated records, changes of rules."""

from typing import Any

import pytest

from schemas.alert_messages import AlertFired
from streams.rules.cuts import BrokenCuts, Cut
from streams.rules.engine import Engine
from streams.rules.ports import Timing
from tests.streams.rules.world import SECOND, START, ToyRule, World, told


@pytest.fixture
def world() -> World:
    return World()


def begun(world: World, **rule: Any) -> Engine:
    engine = Engine(world.make_state())
    world.rule(ToyRule(above=100.0, **rule))
    world.play(engine, [world.cut(0)])
    return engine


def step(world: World, engine: Engine, at: float) -> list[tuple[str, str, float]]:
    return told(world.play(engine, [world.cut(at)]))


def test_a_rule_fires_and_is_resolved(world: World) -> None:
    engine = begun(world)
    place = world.reading("a", 1, temperature=120.0)
    fired = world.play(engine, [world.cut(1)])
    assert told(fired) == [("AlertFired", "a", 1)]
    assert isinstance(fired[0], AlertFired)
    assert fired[0].cause is not None
    assert (fired[0].value, fired[0].cause.offset, fired[0].received_at) == (120.0, place, START + SECOND)
    world.reading("a", 2, temperature=130.0)
    assert step(world, engine, 2) == []
    world.reading("a", 3, temperature=90.0)
    assert step(world, engine, 3) == [("AlertResolved", "a", 3)]


def test_for_by_the_timer_and_by_the_device_s_own_time(world: World) -> None:
    engine = begun(world, timing=Timing(hold=10 * SECOND))
    world.reading("a", 1, temperature=120.0)
    assert step(world, engine, 1) == [("AlertPending", "a", 1)]
    assert step(world, engine, 10.9) == []
    assert step(world, engine, 11) == [("AlertFired", "a", 11)]
    world.reading("b", 12, temperature=120.0)
    world.reading("b", 30, temperature=20.0)
    assert step(world, engine, 30) == [("AlertPending", "b", 12), ("AlertFired", "b", 22), ("AlertResolved", "b", 30)]
    world.reading("c", 31, temperature=120.0)
    world.reading("c", 32, temperature=20.0)
    assert step(world, engine, 60) == [("AlertPending", "c", 31), ("AlertResolved", "c", 32)]


def test_a_slow_clock_does_not_make_for_shorter(world: World) -> None:
    engine = begun(world, timing=Timing(hold=10 * SECOND))
    world.reading("a", -3600, received=1, temperature=120.0)
    assert step(world, engine, 1) == [("AlertPending", "a", -3600)]
    assert step(world, engine, 11) == [("AlertFired", "a", -3590)]


def test_a_fast_clock_harms_only_itself(world: World) -> None:
    engine = begun(world)
    world.reading("fast", 10_000, received=1, temperature=50.0)
    world.reading("a", 2, temperature=120.0)
    assert step(world, engine, 2) == [("AlertFired", "a", 2)]
    world.reading("fast", 10_001, received=3, temperature=120.0)
    assert step(world, engine, 3) == [("AlertFired", "fast", 3)]


def test_hysteresis_and_keep_firing(world: World) -> None:
    engine = begun(world, below=80.0, timing=Timing(keep_firing=10 * SECOND))
    world.reading("a", 1, temperature=120.0)
    world.reading("a", 2, temperature=90.0)
    assert step(world, engine, 2) == [("AlertFired", "a", 1)]
    world.reading("a", 3, temperature=70.0)
    assert step(world, engine, 3) == []
    world.reading("a", 4, temperature=120.0)
    world.reading("a", 5, temperature=70.0)
    assert step(world, engine, 14.9) == []
    assert step(world, engine, 15) == [("AlertResolved", "a", 15)]


def test_repeat_counts_rows_in_a_row(world: World) -> None:
    engine = begun(world, timing=Timing(repeat=3))
    for at, value in enumerate((120.0, 120.0, 20.0, 120.0, 120.0)):
        world.reading("a", at + 1, temperature=value)
    assert step(world, engine, 5) == []
    world.reading("a", 6, temperature=120.0)
    assert step(world, engine, 6) == [("AlertFired", "a", 6)]


def test_what_is_late_decides_nothing_and_an_upload_counts_once(world: World) -> None:
    engine = begun(world, timing=Timing(repeat=2))
    world.reading("a", 5, temperature=20.0)
    world.reading("a", 3, temperature=120.0)
    assert step(world, engine, 5) == []
    world.reading("a", 6, sequence=77, temperature=120.0)
    world.reading("a", 6, sequence=77, temperature=120.0)
    assert step(world, engine, 6) == []
    world.reading("a", 6, sequence=77, temperature=120.0)
    assert step(world, engine, 7) == []
    world.reading("a", 7, temperature=120.0)
    assert step(world, engine, 7) == [("AlertFired", "a", 7)]


def test_silence_fires_and_the_next_record_resolves(world: World) -> None:
    engine = begun(world, timing=Timing(silent_after=10 * SECOND, on_silence="alert"))
    world.reading("a", 1, temperature=20.0)
    assert step(world, engine, 5) == []
    world.reading("a", 6, temperature=20.0)
    assert step(world, engine, 11) == []
    assert step(world, engine, 16) == [("AlertFired", "a", 16)]
    assert step(world, engine, 40) == []
    world.reading("a", 41, temperature=20.0)
    assert step(world, engine, 41) == [("AlertResolved", "a", 41)]
    assert step(world, engine, 51) == [("AlertFired", "a", 51)]
    world.reading("a", 52, temperature=120.0)
    assert step(world, engine, 52) == []
    world.reading("a", 53, temperature=20.0)
    assert step(world, engine, 53) == [("AlertResolved", "a", 53)]


def test_a_silence_that_was_over_before_anybody_looked(world: World) -> None:
    engine = begun(world, timing=Timing(silent_after=10 * SECOND, on_silence="alert"))
    world.reading("a", 1, temperature=20.0)
    world.reading("a", 31, temperature=20.0)
    assert step(world, engine, 31) == [("AlertFired", "a", 11), ("AlertResolved", "a", 31)]


def test_silence_may_mean_that_all_is_well(world: World) -> None:
    engine = begun(world, timing=Timing(silent_after=10 * SECOND, on_silence="ok"))
    world.reading("a", 1, temperature=120.0)
    assert step(world, engine, 1) == [("AlertFired", "a", 1)]
    assert step(world, engine, 11) == [("AlertResolved", "a", 11)]
    world.reading("a", 12, temperature=120.0)
    assert step(world, engine, 12) == [("AlertFired", "a", 12)], "though it says what its row before said"


def test_a_new_version_and_the_end_of_a_rule(world: World) -> None:
    engine = begun(world)
    world.reading("a", 1, temperature=120.0)
    step(world, engine, 1)
    world.rule(ToyRule(above=110.0), version=2)
    assert step(world, engine, 2) == [("AlertResolved", "a", 0)]
    world.reading("a", 3, temperature=120.0)
    assert step(world, engine, 3) == [("AlertFired", "a", 3)]


def test_a_rule_that_fails_is_asked_no_more(world: World) -> None:
    engine = begun(world, fails=True)
    world.rule(ToyRule(above=100.0), rule_id="other")
    world.reading("a", 1, temperature=120.0)
    cut = world.cut(1)
    outcomes, _ = engine.advance([cut], world.slices([cut]))
    assert [command.detail for command in outcomes[0].commands] == ["told so"]
    assert told([event for _, event in outcomes[0].alerts]) == [("AlertFired", "a", 1)], "the other rule goes on"
    world.reading("a", 2, temperature=120.0)
    assert step(world, engine, 2) == []


def test_a_document_that_can_t_be_compiled_is_suspended(world: World) -> None:
    engine = Engine(world.make_state())
    world.rule(ToyRule(above=1.0), document='{"above": "high"}')
    cut = world.cut(1)
    outcomes, _ = engine.advance([cut], world.slices([cut]))
    (command,) = outcomes[0].commands
    assert (command.rule_id, command.version, command.reason) == ("hot", 1, "failing")
    assert "float" in command.detail


def test_what_can_t_be_read_is_counted_and_passed_over(world: World) -> None:
    engine = begun(world)
    world.send("fleet.telemetry", "a", b"junk")
    world.send("fleet.alerts.commands", "a", b"junk")
    world.send("fleet.rules", "a", None)
    world.reading("a", 1, temperature=120.0)
    cut = world.cut(1)
    outcomes, counts = engine.advance([cut], world.slices([cut]))
    assert len(outcomes[0].alerts) == 1
    assert counts.unreadable == 3


def test_cuts_must_follow(world: World) -> None:
    engine = begun(world)
    with pytest.raises(BrokenCuts, match="does not follow"):
        engine.advance([Cut(5, START, ())], {})
