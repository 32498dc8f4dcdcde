"""A back-test over a time yields what live yielded over it, byte for byte."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alert_messages import ALERTS
from schemas.log import TopicPartition
from schemas.rule_messages import RuleApplied
from streams.rules.backtest import SECOND, Past, backtest, made_up
from streams.rules.ports import RuleFailed, Timing
from streams.rules.summary import difference, incidents, live_events, summary
from streams.rules.why import explain
from tests.streams.rules.crew import Crew
from tests.streams.rules.world import START, ToyRule, World, told

TIMELY = Timing(hold=2 * SECOND, keep_firing=3 * SECOND, silent_after=5 * SECOND, on_silence="alert")


def applied(world: World) -> list[RuleApplied]:
    """The rules of the log."""
    source = TopicPartition("fleet.rules", 0)
    values = [v for b in world.log.read(source, 0, world.log.bounds([source.topic])[source][1]) for v in b.values]
    messages = [world.codecs["fleet.rules"].decode(value) for value in values]
    return [message for message in messages if isinstance(message, RuleApplied)]


def with_document(rule: RuleApplied, document: str) -> RuleApplied:
    return msgspec.structs.replace(rule, document=document)


def lived(seed: int, rules: list[ToyRule], chance: random.Random | None) -> Crew:
    """A story of forty seconds, live."""
    source, crew = random.Random(seed), Crew(World(), chance)
    for number, rule in enumerate(rules):
        crew.world.rule(rule, rule_id=f"rule-{number}")
    crew.settle(0)
    for second in range(1, 40):
        for device in ("a", "b", "c"):
            if source.random() < 0.7:
                behind = source.choice([0, 0, 0, 3])
                crew.world.reading(device, second - behind, received=second, temperature=source.choice([70.0, 95.0, 120.0]))
        for _ in range(source.choice([0, 1, 2])):
            crew.turn(second)
    crew.settle(50)
    return crew


rules = st.lists(
    st.builds(
        ToyRule,
        above=st.just(100.0),
        below=st.sampled_from([None, 80.0]),
        timing=st.sampled_from([Timing(), Timing(repeat=2), Timing(hold=3 * SECOND, horizon=4 * SECOND), TIMELY]),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=12, deadline=None)
@given(rules, st.integers(0, 999), st.sampled_from([(0, 60), (0, 20), (10, 30), (25, 60)]))
def test_live_and_back_test_are_equal_byte_for_byte(some: list[ToyRule], seed: int, between: tuple[int, int]) -> None:
    crew = lived(seed, some, random.Random(seed))
    world, codec = crew.world, crew.world.codecs[ALERTS]
    begins, ends = (START + second * SECOND for second in between)
    played = backtest(applied(world), Past(0, crew.cuts()), (begins, ends), world.log, world.make_state)
    live = [event for event in crew.alerts() if begins <= event.received_at < ends]
    assert told([one.event for one in played]) == told(live)
    assert [codec.encode(one.event) for one in played] == [codec.encode(event) for event in live]


def test_other_rules_see_the_same_past() -> None:
    crew = lived(7, [ToyRule(above=1_000.0)], None)
    assert crew.alerts() == []
    world = crew.world
    (rule,) = applied(world)
    other = RuleApplied(**{f: getattr(rule, f) for f in rule.__struct_fields__} | {"document": '{"above": 100.0}'})
    played = backtest([other], Past(0, crew.cuts()), (START, START + 60 * SECOND), world.log, world.make_state)
    assert len(played) > 10
    assert all(one.event.received_at >= one.event.occurred_at for one in played)


def test_nothing_after_the_end_is_looked_at() -> None:
    crew = lived(3, [ToyRule(above=100.0)], None)
    world, rule = crew.world, applied(crew.world)
    until = START + 20 * SECOND
    whole = backtest(rule, Past(0, crew.cuts()), (START, until), world.log, world.make_state)
    known = [cut for cut in crew.cuts() if cut.at < until]
    assert backtest(rule, Past(0, known), (START, until), world.log, world.make_state) == whole


def test_a_rule_that_fails_ends_the_back_test() -> None:
    crew = lived(3, [ToyRule(above=100.0)], None)
    (rule,) = applied(crew.world)
    broken = RuleApplied(
        **{f: getattr(rule, f) for f in rule.__struct_fields__} | {"document": '{"above": 1, "fails": true}'}
    )
    with pytest.raises(RuleFailed, match="told so"):
        backtest([broken], Past(0, crew.cuts()), (START, START + 60 * SECOND), crew.world.log, crew.world.make_state)


def test_cuts_are_made_up_by_the_second_of_receipt() -> None:
    one, two = TopicPartition("fleet.telemetry", 0), TopicPartition("fleet.heartbeats", 0)
    second = SECOND
    cuts = made_up(
        {one: [(0, 0), (1, second - 1), (3, 2 * second), (4, second), (7, 5 * second)], two: [(0, 2 * second)]},
        0,
        5 * second,
    )
    assert [(cut.sequence, cut.at, [(s.source, s.begins, s.following) for s in cut.spans]) for cut in cuts] == [
        (1, second, [(one, 0, 3)]),
        (2, 3 * second, [(two, 0, 1), (one, 3, 7)]),
    ]


def test_why_tells_each_row_of_the_key_and_what_came_of_it() -> None:
    crew = Crew(World())
    crew.world.rule(ToyRule(above=100.0, timing=Timing(hold=3 * SECOND)))
    crew.settle(0)
    for second, value in ((1, 20.0), (2, 120.0), (1, 120.0), (4, 130.0)):
        crew.world.reading("a", second, received=max(second, 2), temperature=value)
        crew.world.reading("b", second, received=max(second, 2), temperature=120.0)
        crew.settle(max(second, 2))
    crew.settle(9)
    (rule,) = applied(crew.world)
    steps = explain(rule, "a", START + 60 * SECOND, Past(0, crew.cuts()), crew.world.log, crew.world.make_state)
    told_steps = [(s.event or s.says, (s.at - START) // SECOND, s.late) for s in steps]
    assert told_steps == [
        ("cleared", 1, False),
        ("raised", 2, False),
        ("AlertPending", 2, False),
        ("nothing", 1, True),
        ("raised", 4, False),
        ("AlertFired", 5, False),
    ]
    assert steps[1].place == steps[2].cause
    assert steps[-1].cause is None, "a timer was the cause"
    assert explain(rule, "a", START + 2 * SECOND, Past(0, crew.cuts()), crew.world.log, crew.world.make_state) == steps[:4]


def test_a_summary_and_a_difference() -> None:
    crew = lived(7, [ToyRule(above=100.0)], None)
    (rule,) = applied(crew.world)
    ends = START + 60 * SECOND
    live = live_events(crew.alerts(), ["rule-0"], START, ends)
    other = with_document(rule, '{"above": 1000.0}')
    played = backtest([other], Past(0, crew.cuts()), (START, ends), crew.world.log, crew.world.make_state)
    found = difference([one.event for one in played], live)
    assert (found.only_here, found.both) == ((), 0)
    assert len(found.only_live) == len(incidents(live)) > 5
    same = difference(live, live)
    assert (same.only_here, same.only_live, same.both) == ((), (), len(incidents(live)))
    counted = summary(live, ends)
    assert sum(times for _, times in counted.top) == len(counted.incidents)
    assert counted.open == sum(one.resolved_at is None for one in counted.incidents)
    assert counted.firing_seconds > 1
