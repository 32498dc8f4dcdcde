"""However cuts are put together into runs, and wherever an engine goes on from its snapshot, the same comes out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.messages import Event
from streams.rules.cuts import Cut, runs
from streams.rules.engine import Engine
from streams.rules.ports import Timing
from streams.rules.run import Outcome
from tests.streams.rules.world import SECOND, ToyRule, World, told

DEVICES = ("a", "b", "c")


class Reading(NamedTuple):
    device: str
    behind: int
    value: float
    again: bool


timings = st.builds(
    Timing,
    hold=st.sampled_from([0, 3 * SECOND]),
    keep_firing=st.sampled_from([0, 4 * SECOND]),
    repeat=st.sampled_from([1, 2]),
    silent_after=st.sampled_from([0, 5 * SECOND]),
    on_silence=st.sampled_from(["alert", "ok", "keep"]),
    horizon=st.sampled_from([0, 6 * SECOND]),
)
rules = st.builds(
    ToyRule,
    above=st.just(100.0),
    below=st.sampled_from([None, 80.0]),
    timing=timings,
    fails_above=st.sampled_from([None, None, 125.0]),
)
readings = st.builds(
    Reading,
    st.sampled_from(DEVICES),
    st.sampled_from([0, 0, 0, 1, 4]),
    st.sampled_from([70.0, 90.0, 120.0, 120.0, 120.0, 130.0]),
    st.sampled_from([False, False, False, True]),
)
seconds = st.lists(st.lists(readings, max_size=5), min_size=2, max_size=25)


def told_world(rule: ToyRule, other: ToyRule, story: list[list[Reading]]) -> World:
    """A cut each second, with that second's readings; in the middle another rule comes."""
    world = World()
    world.rule(rule)
    for second, several in enumerate(story):
        if second == len(story) // 2:
            world.rule(other, rule_id="other")
        for reading in several:
            at = second - reading.behind
            sequence = world.sequences.get(reading.device) if reading.again else None
            world.reading(reading.device, at, received=second, sequence=sequence, temperature=reading.value)
        world.cut(second)
    return world


def outcomes(world: World, engine: Engine, cuts: Sequence[Cut]) -> list[Outcome]:
    return engine.advance(cuts, world.slices(cuts))[0]


def one_by_one(world: World) -> list[Outcome]:
    engine = Engine(world.make_state())
    return [outcome for cut in world.cuts for outcome in outcomes(world, engine, [cut])]


def events(found: Sequence[Outcome]) -> list[Event]:
    return [event for outcome in found for _, event in outcome.alerts]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rules, rules, seconds, st.integers(1, 40), st.data())
def test_runs_and_restarts_change_nothing(
    rule: ToyRule, other: ToyRule, story: list[list[Reading]], most: int, data: Any
) -> None:
    world = told_world(rule, other, story)
    expected = one_by_one(world)
    engine, found = Engine(world.make_state()), list[Outcome]()
    for run in runs(world.cuts, most):
        found += outcomes(world, engine, run)
        if data.draw(st.booleans()):
            state = world.make_state()
            state.restore(engine.state.snapshot())
            assert state.snapshot() == engine.state.snapshot()
            engine = Engine(state)
    assert told(events(found)) == told(events(expected))
    assert found == expected


def test_the_story_has_alerts() -> None:
    """What the property is about happens in it."""
    story = [[Reading("a", 0, 120.0, False)], [], [], [], [], [], [], [Reading("a", 0, 70.0, False)]]
    rule = ToyRule(above=100.0, timing=Timing(hold=3 * SECOND, silent_after=5 * SECOND, on_silence="alert"))
    kinds = [kind for kind, _, _ in told(events(one_by_one(told_world(rule, rule, story))))]
    assert kinds[:2] == ["AlertPending", "AlertFired"]
    assert kinds.count("AlertFired") == kinds.count("AlertResolved") == 2


def test_what_a_rule_said_before_it_failed_stays() -> None:
    """Whoever comes to the failure in a run of many cuts comes to the alerts before it too, and to none behind it."""
    story = [[Reading("a", 0, value, False)] for value in (70.0, 120.0, 70.0, 130.0, 70.0, 120.0)]
    rule = ToyRule(above=100.0, fails_above=125.0, timing=Timing(silent_after=5 * SECOND, on_silence="alert"))
    world = told_world(rule, ToyRule(above=1_000.0), story)
    engine = Engine(world.make_state())
    whole = [outcome for run in runs(world.cuts, 100) for outcome in outcomes(world, engine, run)]
    assert [(kind, at) for kind, _, at in told(events(whole))] == [("AlertFired", 1), ("AlertResolved", 2)]
    assert [len(outcome.commands) for outcome in whole] == [0, 0, 0, 1, 0, 0]
    assert whole == one_by_one(world)
