"""Whatever is told in whatever order: the invariants of alerts, read from the events alone."""

from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alert_messages import (
    AlertAcknowledged,
    AlertCommandRefused,
    AlertEscalated,
    AlertEvent,
    AlertFired,
    AlertPending,
    AlertRepeated,
    AlertResolved,
)
from schemas.messages import Event
from schemas.rule_messages import Matcher
from tests.streams.alerts.stage import MINUTE, Stage, open_alerts, rule_of

HOMES = ("d1", "d2", "fleet/warm/")
RULES = {
    "hot": rule_of(
        "hot",
        escalate=[{"after": "3m", "channels": ["a"]}, {"after": "5m", "channels": ["b"]}],
        repeat_every="4m",
        flapping={"changes": 2, "within": "6m"},
    ),
    "warm": rule_of("warm", **{"for": "2m"}, maintenance=[{"at": "23:05", "for": "10m"}], repeat_every="2m"),
}
MATCHERS = (
    Matcher(name="device_id", match="equal", value="d1"),
    Matcher(name="rule_id", match="glob", value="w*"),
)
home, name = st.sampled_from(HOMES), st.sampled_from(tuple(RULES))
mode = st.sampled_from(("live", "shadow"))
kind = st.sampled_from(("pending", "fired", "lapsed", "resolved"))
group = st.sampled_from(("", '{"site":"a"}'))
at = st.integers(0, 12).map(lambda minutes: minutes * MINUTE)
pick = st.integers(0, 50)
step = st.one_of(
    st.tuples(st.just("signal"), kind, home, name, mode, group),
    st.tuples(st.just("signal"), kind, home, name, mode, group),
    st.tuples(st.just("wait"), at),
    st.tuples(st.sampled_from(("acknowledge", "silence_one", "unsilence", "comment")), pick, at),
    st.tuples(st.just("silence"), st.sampled_from(("s1", "s2")), at, at, st.sampled_from(MATCHERS)),
    st.tuples(st.just("end_silence"), st.sampled_from(("s1", "s2"))),
    st.tuples(st.just("apply"), name, mode),
    st.tuples(st.just("disable"), name, mode),
)


def play(steps: list[Any], snapshots: bool) -> Stage:
    on = Stage()
    in_force = {(rule, mode) for rule in RULES for mode in ("live", "shadow")}
    for rule, which in sorted(in_force):
        on.apply(RULES[rule], which)  # type: ignore[arg-type]
    for what, *given_ in steps:
        if what == "signal":
            kind, home, rule, which, group = given_
            if (rule, which) in in_force:
                on.signal(kind, home, rule, mode=which, group=group)
        elif what in ("apply", "disable"):
            rule, which = given_
            (in_force.add if what == "apply" else in_force.discard)((rule, which))
            on.apply(RULES[rule], which) if what == "apply" else on.disable(rule, which)
        elif what == "silence":
            on.silence(given_[0], given_[1], given_[1] + given_[2] + 1, given_[3])
        elif what in ("wait", "end_silence"):
            getattr(on, what)(given_[0])
        else:
            _ask(on, what, given_[0], given_[1])
        if snapshots:
            on.again()
    return on


def _ask(on: Stage, what: str, pick: int, until: int) -> None:
    known = [event for event in on.said if isinstance(event, AlertEvent)]
    if known:
        about = known[pick % len(known)]
        extra = {"until": until} if what == "silence_one" else {}
        getattr(on, what)(about.alert_id, home=about.home_key, **extra)


@settings(max_examples=150)
@given(st.lists(step, max_size=40))
def test_invariants(steps: list[Any]) -> None:
    on = play(steps, False)
    assert len({event.event_id for event in on.said}) == len(on.said)
    alerts: dict[str, list[AlertEvent]] = defaultdict(list)
    opened: dict[tuple[Any, ...], str] = {}
    over: set[str] = set()
    for event in on.said:
        if isinstance(event, AlertCommandRefused):
            assert event.code != "ALERT_UNKNOWN"
            assert (event.code == "ALERT_RESOLVED") == (event.alert_id in over)
        if not isinstance(event, AlertEvent):
            continue
        subject = (event.rule_id, event.mode, event.home_key, event.group)
        assert event.alert_id not in over
        assert opened.setdefault(subject, event.alert_id) == event.alert_id
        alerts[event.alert_id].append(event)
        if isinstance(event, AlertResolved):
            over.add(event.alert_id)
            del opened[subject]
    for events in alerts.values():
        _one_alert(events)
    tracked = {track.incident.alert_id for track in on.lifecycle.tracks.values() if track.incident}
    assert tracked == open_alerts(on.said)


def _one_alert(events: list[AlertEvent]) -> None:
    kinds: list[type[Event]] = [type(event) for event in events]
    assert [event.number for event in events] == list(range(len(events)))
    assert kinds[0] in (AlertPending, AlertFired)
    for once in (AlertPending, AlertFired, AlertAcknowledged):
        assert kinds.count(once) <= 1
    if AlertPending in kinds:
        assert kinds.index(AlertPending) == 0
    fired = kinds.index(AlertFired) if AlertFired in kinds else len(kinds)
    for later in (AlertAcknowledged, AlertEscalated, AlertRepeated):
        assert all(place > fired for place, found in enumerate(kinds) if found is later)
    if AlertAcknowledged in kinds:
        assert not {AlertEscalated} & set(kinds[kinds.index(AlertAcknowledged) :])
    levels = [event.level for event in events if isinstance(event, AlertEscalated)]
    assert levels == list(range(1, len(levels) + 1))
    assert [event.repeat for event in events if isinstance(event, AlertRepeated)] == list(
        range(1, kinds.count(AlertRepeated) + 1)
    )
    assert all(event.muted_by is not None for event in events if event.mode == "shadow")
    heard = any(event.muted_by is None for event in events[:-1] if type(event) not in (AlertPending,))
    if isinstance(events[-1], AlertResolved) and events[-1].muted_by is None:
        assert heard


@settings(max_examples=60)
@given(st.lists(step, max_size=30))
def test_a_snapshot_anywhere_changes_nothing(steps: list[Any]) -> None:
    assert play(steps, True).said == play(steps, False).said
