"""Rules about the fleet: the same alerts, however rows fall into partitions, cuts, runs and restarts."""

import random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.alert_messages import AlertEvent
from schemas.partitioner import partition_of
from schemas.rule_messages import SuspendRule
from schemas.rules.reading import BadRule, read
from streams.rules import aggregation
from streams.rules.compiled import compile_rule
from streams.rules.counting import GRACE
from streams.rules.cuts import Cut, runs
from tests.streams.rules.fleet_world import FleetWorld
from tests.streams.rules.world import SECOND, START

RATE = """
id: failures
input: fleet
aggregate:
  of: registration
  window: {window}
  measures:
    begun: {{count: "record == 'SessionOpened'"}}
    failed: {{count: "record == 'ChallengeFailed' && attempts_left == 0"}}
    left: {{sum: "attempts_left * 0.1", where: "record == 'ChallengeFailed'"}}
when: failed / begun > 0.3
{more}
annotations: {{summary: "{{{{ value | % }}}} of {{{{ group }}}}"}}
"""


LAST = 54
"""Seconds of a story: its last attempt, its longest window, and what comes after."""


class Attempt(NamedTuple):
    at: int
    hardware: str
    fails: bool


attempts = st.builds(Attempt, st.integers(0, 30), st.sampled_from(["a", "b", "c", "d"]), st.booleans())
stories = st.lists(attempts, min_size=3, max_size=25).map(sorted)
rules = st.sampled_from(["", "repeat: 2", "for: 5s", "keep_firing: 7s", "group_by: [hardware_id]", "scope: {models: [mk]}"])


def told(events: list[AlertEvent]) -> list[tuple[object, ...]]:
    """All but when an engine has written it."""
    return sorted((e.occurred_at, e.home_key, e.number, type(e).__name__, e.alert_id, e.value or 0.0) for e in events)


def lived(partitions: int, rule: str, story: list[Attempt], source: random.Random | None) -> list[AlertEvent]:
    """The story, taken second by second; with a `source`, in cuts, runs and restarts as it falls."""
    world, found = FleetWorld(partitions), list[AlertEvent]()
    world.apply(rule)
    waiting: list[list[Cut]] = [[] for _ in range(partitions)]
    for second in range(LAST + 1):
        for number, attempt in enumerate(story):
            if attempt.at == second:
                world.begun(attempt.hardware, second, number)
                if attempt.fails:
                    world.failed(attempt.hardware, second + 0.25, number)
        for partition in range(partitions):
            if source is None or second == LAST or source.random() < 0.6:
                waiting[partition].append(world.cut_of(partition, second + 0.5))
            if source is None or second == LAST or source.random() < 0.2:
                for run in runs(waiting[partition], 1_000):
                    found += world.step(partition, run)
                waiting[partition] = []
            if source is not None and source.random() < 0.05:
                world.restart(partition)
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories, rules, st.sampled_from(["10s", "7500ms", "20s"]), st.sampled_from([1, 3]), st.integers(0, 999))
def test_the_same_whatever_is_split(story: list[Attempt], more: str, window: str, partitions: int, seed: int) -> None:
    rule = RATE.format(window=window, more=more)
    assert told(lived(partitions, rule, story, random.Random(seed))) == told(lived(1, rule, story, None))


HOT = """
id: hot
input: fleet
aggregate:
  of: telemetry
  window: {window}
  measures:
    all: {{count: "temperature > -300"}}
    hot: {{count: "temperature > 100"}}
    heat: {{sum: "temperature * 0.1", where: "temperature > 0"}}
when: heat / all > 7 && hot >= 2
{more}
"""


def measured(partitions: int, rule: str, story: list[Attempt], source: random.Random | None) -> list[AlertEvent]:
    """A story of readings. Partitions tell each other once in a bucket, so each of them goes on at least once a second."""
    world, found = FleetWorld(partitions), list[AlertEvent]()
    world.apply(rule)
    for second in range(LAST + 1):
        for attempt in story:
            if attempt.at == second:
                world.reading(attempt.hardware, second, temperature=120.0 if attempt.fails else 20.3)
        for part in (0.3, 0.9):
            for partition in random.Random(second).sample(range(partitions), partitions):
                if source is None or part == 0.9 or source.random() < 0.5:
                    found += world.step(partition, [world.cut_of(partition, second + part)])
                if source is not None and source.random() < 0.05:
                    world.restart(partition)
    return found


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    stories, st.sampled_from(["", "for: 5s", "group_by: [device.id]"]), st.sampled_from(["5s", "10s"]), st.integers(0, 999)
)
def test_the_same_whichever_partitions_count(story: list[Attempt], more: str, window: str, seed: int) -> None:
    rule = HOT.format(window=window, more=more)
    assert told(measured(3, rule, story, random.Random(seed))) == told(measured(1, rule, story, None))


def test_partitions_are_summed() -> None:
    """What the property is about happens in it, and no partition alone would raise it."""
    story = [Attempt(second, "abcd"[second % 4], second % 4 < 2) for second in range(30)]
    found = measured(3, HOT.format(window="10s", more=""), story, None)
    assert [type(event).__name__ for event in found][:2] == ["AlertFired", "AlertResolved"]
    assert {event.home_key for event in found} == {"fleet/hot/"}
    homes = {partition_of(device.encode(), 3) for device in "abcd"}
    assert len(homes) > 1


def test_the_story_has_alerts() -> None:
    """What the property is about happens in it."""
    story = [Attempt(second, "ab"[second % 2], second % 2 == 0) for second in range(30)]
    one = lived(1, RATE.format(window="10s", more=""), story, None)
    assert [(type(e).__name__, (e.occurred_at - START) // SECOND) for e in one] == [("AlertFired", 1), ("AlertResolved", 39)]
    assert (one[0].home_key, one[0].device_id, one[0].group, one[0].value) == ("fleet/failures/", None, "", 1.0)
    assert one[0].received_at == one[0].occurred_at + GRACE + SECOND // 2
    each = lived(3, RATE.format(window="10s", more="group_by: [hardware_id]"), story, None)
    assert {(e.home_key, e.labels) for e in each} == {('fleet/failures/{"hardware_id":"a"}', '{"hardware_id":"a"}')}
    assert [type(e).__name__ for e in each] == ["AlertFired", "AlertResolved"]
    assert '100.0 % of {\\"hardware_id\\":\\"a\\"}' in each[0].annotations


def test_what_was_counted_before_a_rule_failed_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes to the failure in a run of many cuts has the rule suspended by the same command."""
    monkeypatch.setattr(aggregation, "MOST_GROUP", len('{"hardware_id":"ab"}'))

    def suspended(most: int) -> list[tuple[int, SuspendRule]]:
        world = FleetWorld(1)
        world.apply(RATE.format(window="10s", more="group_by: [hardware_id]"))
        cuts = []
        for second, hardware in enumerate(["a", "ab", "abc", "a"]):
            world.failed(hardware, second, second)
            cuts.append(world.cut_of(0, second + 0.5))
        return [
            (run[index].sequence, command)
            for run in runs(cuts, most)
            for index, outcome in enumerate(world.outcomes(0, run))
            for command in outcome.commands
        ]

    assert [sequence for sequence, _ in suspended(1)] == [3]
    assert suspended(100) == suspended(1)


def test_what_is_older_than_the_window_is_not_counted() -> None:
    story = [Attempt(1, "a", True), *(Attempt(second, "b", False) for second in range(2, 40))]
    fired, resolved = lived(1, RATE.format(window="10s", more=""), story, None)
    assert (fired.occurred_at - START) // SECOND == 2
    assert (resolved.occurred_at - START) // SECOND == 5, "one of four"
    assert fired.alert_id == resolved.alert_id


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("no_data: {after: 5m}", "has no no_data"),
        ("clear: avg(failed, '5m') < 1", "an aggregate has a window of its own"),
    ],
)
def test_what_a_rule_about_the_fleet_can_t_say(more: str, message: str) -> None:
    with pytest.raises(BadRule, match=message):
        compile_rule(read(RATE.format(window="10s", more=more)), FleetWorld(1).contract)
