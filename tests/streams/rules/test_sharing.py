"""Rules that are evaluated together say what each would say by itself, byte for byte."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.contract import load
from schemas.messages import Event
from schemas.rules.document import Rule, canonical
from schemas.rules.reading import read
from streams.alerts.lifecycle import AlertLifecycle
from streams.rules.annotations import annotator
from streams.rules.compiled import CompiledRule, compile_rule
from streams.rules.cuts import runs
from streams.rules.engine import Engine
from streams.rules.evaluator import RuleEvaluator
from streams.rules.ports import Evaluator, Input, Verdicts
from streams.rules.sharing import Sharing
from streams.rules.state import State
from tests.streams.rules.world import ToyRule, World

WHEN = (
    "t > 100",
    "t > 100 && u < 50",
    'avg(t, "4s") > 90',
    'avg(t, "4s") > 90 && t > 80',
    'sum(t + 0.1, "3s") / 3 > 100',
    'max(t, "9s") - min(t, "9s") > 25',
    'count(t > 100, "6s") > 2',
    'count("5s") > 3 || u > 60',
    't == null || string(t).matches("^1")',
    'rate(t, "7s") > 1 && string(u) != "0"',
)


@cache
def compiled(document: str) -> CompiledRule:
    return compile_rule(read(document), load())


class Alone(Sharing):
    """Each rule by itself, with windows of its own and its own look at what is late."""

    def evaluate(self, evaluators: Sequence[Evaluator], frame: pl.DataFrame) -> list[Verdicts]:
        return [one.evaluate(frame) for one in evaluators]


class Apart(State):
    def sharing(self, name: Input) -> Sharing:
        return Alone()


class RealWorld(World):
    """With the language and the lifecycle that there really are."""

    def state(self, kind: type[State]) -> State:
        readers = self.make_state().readers
        return kind(0, 1, readers, lambda e: RuleEvaluator(compiled(e.document), e.version), AlertLifecycle(annotator()))

    def apply(self, number: int, version: int) -> None:
        rule = Rule(id=f"rule-{number}", input="telemetry", when=WHEN[number], hold=("0s", "2s")[number % 2])
        self.rule(ToyRule(above=0.0), rule.id, version, canonical(rule).decode())


values = st.sampled_from([20.0, 95.0, 100.1, 120.0, 1e300, float("nan"), None])
readings = st.tuples(st.sampled_from("abc"), st.sampled_from([0, 0, 0, 2, 5]), values, values)
seconds = st.tuples(st.lists(readings, max_size=6), st.lists(st.integers(0, len(WHEN) - 1), max_size=3))


def told_world(first: Sequence[int], story: Sequence[tuple[list[Any], list[int]]]) -> RealWorld:
    world = RealWorld()
    for number in first:
        world.apply(number, 1)
    for second, (several, rules) in enumerate(story, start=1):
        for number in rules:
            world.apply(number, second + 1)
        for device, behind, *pair in several:
            metrics = {name: value for name, value in zip("tu", pair, strict=True) if value is not None}
            world.reading(device, second - behind, received=second, **metrics)
        world.cut(second)
    return world


def encoded(world: World, events: Sequence[Event]) -> list[bytes]:
    return [world.codecs["fleet.alerts"].encode(event) for event in events]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.integers(0, len(WHEN) - 1)), st.lists(seconds, min_size=2, max_size=15), st.integers(1, 30), st.data())
def test_together_is_as_one_by_one(first: set[int], story: list[Any], most: int, data: Any) -> None:
    world = told_world(sorted(first), story)
    alone = Engine(world.state(Apart))
    expected = [event for cut in world.cuts for event in world.play(alone, [cut])]
    together, found = Engine(world.state(State)), list[Event]()
    for run in runs(world.cuts, most):
        found += world.play(together, run)
        if data.draw(st.booleans()):
            state = world.state(State)
            state.restore(together.state.snapshot())
            assert state.snapshot() == together.state.snapshot()
            together = Engine(state)
    assert encoded(world, found) == encoded(world, expected)


def test_the_story_has_alerts_of_every_rule() -> None:
    """What the property is about happens in it."""
    low, high = [("a", 0, 20.0, 20.0)] * 2, [("a", 0, 120.0, 20.0)] * 2
    world = told_world(range(len(WHEN)), [(rows, []) for rows in (low, low, high, high, high, low, low, low, low)])
    engine = Engine(world.state(State))
    events = [event for cut in world.cuts for event in world.play(engine, [cut])]
    fired = {msgspec.structs.asdict(event)["rule_id"] for event in events}
    assert fired == {f"rule-{number}" for number in range(len(WHEN))}


def test_windows_are_shared_by_rules_that_began_together_and_again_after_a_restart() -> None:
    world = RealWorld()
    for number in (2, 3, 5):
        world.apply(number, 1)
    world.reading("a", 1, t=1.0)
    world.cut(1)
    engine = Engine(world.state(State))
    world.play(engine, world.cuts)
    carried = {id(one.evaluator.carried) for one in engine.state.active.values()}  # type: ignore[attr-defined]
    assert len(carried) == 1
    world.apply(4, 1)
    world.reading("a", 2, t=1.0)
    world.play(engine, [world.cut(2)])
    carried = {id(one.evaluator.carried) for one in engine.state.active.values()}  # type: ignore[attr-defined]
    assert len(carried) == 2, "a rule that came later has none of the readings before"
    restored = Engine(world.state(State))
    restored.state.restore(engine.state.snapshot())
    world.reading("a", 3, t=1.0)
    cut = world.cut(3)
    assert encoded(world, world.play(restored, [cut])) == encoded(world, world.play(engine, [cut]))
    of = {slot.rule_id: id(one.evaluator.carried) for slot, one in restored.state.active.items()}  # type: ignore[attr-defined]
    assert of["rule-2"] == of["rule-3"]
