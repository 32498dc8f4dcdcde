"""A back-test of a rule whose rows several partitions count yields what live yielded, byte for byte; of a time in which the
rule was not live, what it would have been."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.alert_messages import AlertEvent
from schemas.messages import Event
from schemas.rule_messages import RuleApplied, RuleDisabled
from schemas.rules.document import canonical
from schemas.rules.reading import read
from streams.rules.backtest import Past, backtest
from streams.rules.counted import FOREVER, Counting, Lived, asked, by_home, counted, heard, lived, ticks, with_ticks
from streams.rules.counting import GRACE
from streams.rules.cuts import AGGREGATES, Cut
from tests.streams.rules.fleet_world import FleetWorld
from tests.streams.rules.test_aggregates import HOT, LAST, Attempt, measured, stories, told
from tests.streams.rules.world import SECOND, START

PARTITIONS = 3
END = START + (LAST + 10) * SECOND
NEVER = Lived(1, [])
ALWAYS = Lived(1, [(0, FOREVER)])


class Story:
    """What happened: the cuts of each partition, and what came of them live."""

    def __init__(self, story: Sequence[Attempt], source: random.Random, rule: str | None) -> None:
        self.world = FleetWorld(PARTITIONS)
        self.cuts: list[list[Cut]] = [[] for _ in range(PARTITIONS)]
        self.live: list[AlertEvent] = []
        if rule is not None:
            self.world.apply(rule)
        for second in range(LAST + 1):
            for attempt in story:
                if attempt.at == second:
                    self.world.reading(attempt.hardware, second, temperature=120.0 if attempt.fails else 20.3)
            for part in (0.3, 0.9):
                for partition in source.sample(range(PARTITIONS), PARTITIONS):
                    if part == 0.9 or source.random() < 0.5:
                        self.step(partition, second + part)
                    if source.random() < 0.05:
                        self.world.restart(partition)

    def step(self, partition: int, at: float) -> None:
        cut = self.world.cut_of(partition, at)
        self.cuts[partition].append(cut)
        self.live += self.world.step(partition, [cut])

    def tested(self, rule: RuleApplied, live: Lived) -> list[AlertEvent]:
        world, found = self.world, list[AlertEvent]()
        length = int(world.make_state()._compile(rule).counter.length)  # type: ignore[union-attr]
        counting = Counting(world.partials.encode, PARTITIONS)
        between = (START, END)
        counts = []
        for partition, cuts in enumerate(self.cuts):
            past = with_ticks(Past(partition, cuts), ticks(length, between, live))
            counts += counted(rule, past, END, world.log, world.make_state, counting)
        for home, of_home in by_home(counts).items():
            past = with_ticks(Past(home, self.cuts[home]), asked(length, between, live))
            shown, reader = heard(past, of_home, world.log, self.event_ids)
            played = backtest([rule], shown, between, reader, world.make_state)
            found += [one.event for one in played if isinstance(one.event, AlertEvent)]
        return found

    def event_ids(self, values: Sequence[bytes | None]) -> list[str | None]:
        rows = dict(self.world.make_state().readers.columns[AGGREGATES].rows(values).rows)
        return [rows[index]["event_id"] if index in rows else None for index in range(len(values))]


def applied(rule: str) -> RuleApplied:
    return FleetWorld(1).apply(rule)


def encoded(events: Sequence[AlertEvent]) -> list[bytes]:
    return sorted(msgspec.json.encode(event) for event in events)


texts = st.builds(
    lambda more, window: HOT.format(window=window, more=more),
    st.sampled_from(["", "for: 5s", "group_by: [device.id]", "keep_firing: 7s"]),
    st.sampled_from(["5s", "10s"]),
)
slow = settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow
@given(stories, texts, st.integers(0, 999))
def test_a_back_test_says_what_was_live(story: list[Attempt], rule: str, seed: int) -> None:
    happened = Story(story, random.Random(seed), rule)
    assert encoded(happened.tested(applied(rule), ALWAYS)) == encoded(happened.live)


@slow
@given(stories, texts, st.integers(0, 999))
def test_of_a_rule_that_was_not_live_it_says_what_would_have_been(story: list[Attempt], rule: str, seed: int) -> None:
    happened = Story(story, random.Random(seed), None)
    assert not happened.live
    assert told(happened.tested(applied(rule), NEVER)) == told(measured(1, rule, story, None))


def test_there_is_something_to_say() -> None:
    """What the properties are about happens in them, and no partition alone would raise it."""
    story, rule = (
        [Attempt(second, "abcd"[second % 4], second % 4 < 2) for second in range(30)],
        HOT.format(window="10s", more=""),
    )
    was_live = Story(story, random.Random(1), rule)
    assert [type(event).__name__ for event in was_live.live][:2] == ["AlertFired", "AlertResolved"]
    not_live = Story(story, random.Random(1), None).tested(applied(rule), NEVER)
    assert told(not_live) == told(was_live.live)


def test_when_a_rule_was_live() -> None:
    rule, other = read(HOT.format(window="10s", more="")), read(HOT.format(window="5s", more=""))
    world = FleetWorld(1)

    def put(document: Any, version: int, at: int) -> Event:
        made = world.apply(HOT.format(window="10s", more=""), version)
        return msgspec.structs.replace(made, document=canonical(document).decode(), occurred_at=at)

    def disabled(version: int, at: int) -> Event:
        head = {
            name: getattr(put(rule, version, at), name) for name in ("command_id", "correlation_id", "actor", "event_id")
        }
        about: dict[str, Any] = {
            "occurred_at": at,
            "received_at": at,
            "rule_id": rule.id,
            "version": version,
            "mode": "live",
        }
        return RuleDisabled(**head, **about, comment=None)

    assert lived(rule, []) == Lived(1, [])
    assert lived(rule, [put(rule, 1, 10)]) == Lived(1, [(10, FOREVER)])
    assert lived(rule, [put(rule, 1, 10), put(other, 2, 20)]) == Lived(1, [(10, 20)])
    assert lived(rule, [put(other, 1, 10), put(rule, 2, 20), disabled(2, 30)]) == Lived(2, [(20, 30)])
    assert lived(rule, [put(rule, 1, 10), put(other, 2, 20), put(rule, 3, 30)]) == Lived(3, [(30, FOREVER)])
    assert lived(rule, [put(rule, 1, 10), disabled(1, 20), put(rule, 1, 30)]) == Lived(1, [(10, 20), (30, FOREVER)])


def test_cuts_of_a_time_in_which_a_rule_was_not_live() -> None:
    live = Lived(1, [(3 * SECOND, 5 * SECOND)])
    assert [at // SECOND for at in ticks(SECOND, (SECOND, 8 * SECOND), live)] == [1, 2, 5, 6, 7]
    assert [at // SECOND for at in asked(2 * SECOND, (SECOND, 9 * SECOND), NEVER)] == [2, 4, 6, 8]
    assert GRACE == 2 * SECOND
    past = with_ticks(Past(0, [Cut(4, 2 * SECOND, ()), Cut(5, 4 * SECOND, ())]), [SECOND, 3 * SECOND, 4 * SECOND])
    assert [(cut.sequence, cut.at // SECOND) for cut in past.cuts] == [(4, 2), (0, 3), (5, 4), (0, 4)]
    assert with_ticks(Past(0, []), [SECOND]).cuts == [Cut(0, SECOND, ())]
