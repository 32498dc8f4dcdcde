"""The life of an alert, step by step."""

import json

import pytest

from schemas.rule_messages import Matcher
from tests.streams.alerts.stage import MINUTE, SECOND, Stage, T, names, rule_of, told

DAY = 24 * 60 * MINUTE


def stage(**rule: object) -> Stage:
    made = Stage()
    made.apply(rule_of(**rule))
    return made


def test_pending_firing_acknowledged_resolved() -> None:
    on = stage(**{"for": "5m"}, severity="critical", channels=["pager"], annotations={"summary": "{{ value }} degrees"})
    (pending,) = on.signal("pending")
    on.wait(5 * MINUTE)
    (fired,) = on.signal("fired", first=1, value=102.5)
    acknowledged = on.acknowledge(fired.alert_id)
    (resolved,) = on.signal("resolved", first=1)
    assert names(on.said) == ["AlertPending", "AlertFired", "AlertAcknowledged", "AlertResolved"]
    assert pending.due_at == pending.occurred_at + 5 * MINUTE
    assert [event.number for event in on.said] == [0, 1, 2, 3]  # type: ignore[attr-defined]
    assert len({event.alert_id for event in on.said}) == 1  # type: ignore[attr-defined]
    assert (fired.severity, fired.channels, fired.device_id) == ("critical", ("pager",), "d1")
    assert json.loads(fired.annotations) == {"summary": "102.5 degrees"}
    assert (acknowledged.actor, fired.actor, fired.command_id) == ("owner", "engine", fired.alert_id)
    assert (resolved.reason, resolved.fired_at, resolved.since) == ("cleared", fired.occurred_at, pending.occurred_at)
    assert on.homes == ["d1"] * 4


def test_what_was_only_pending_is_over_unheard() -> None:
    on = stage(**{"for": "5m"})
    on.signal("pending")
    (resolved,) = on.signal("lapsed", first=1)
    assert (resolved.fired_at, resolved.muted_by) == (None, "unheard")


def test_a_group_is_among_the_labels_and_what_is_of_the_fleet_has_no_device() -> None:
    on = stage(labels={"team": "north"})
    (fired,) = on.signal("fired", home="fleet/hot/{}", group='{"site":"a"}')
    assert json.loads(fired.labels) == {"team": "north", "site": "a"}
    assert fired.device_id is None


def test_what_ends_with_another_group_than_it_began_with_ends() -> None:
    on = stage()
    on.signal("fired", group='{"site":"a"}')
    (resolved,) = on.signal("resolved", group='{"site":"b"}', first=1)
    assert resolved.group == '{"site":"a"}'


def test_no_number_that_is_none_gets_into_the_log() -> None:
    on = stage()
    (fired,) = on.signal("fired", value=float("nan"))
    assert fired.value is None


def test_escalation_goes_on_until_somebody_takes_care() -> None:
    chain = [{"after": "5m", "channels": ["pager"]}, {"after": "15m", "channels": ["boss"]}]
    on = stage(escalate=chain)
    (fired,) = on.signal("fired")
    assert on.wait(5 * MINUTE - 1) == []
    (first,) = on.wait(1)
    assert (first.level, first.channels, first.occurred_at) == (1, ("pager",), T + 5 * MINUTE)
    on.acknowledge(fired.alert_id)
    assert on.wait(DAY) == []


def test_what_was_due_meanwhile_happens_in_the_order_of_its_time() -> None:
    chain = [{"after": "5m", "channels": ["pager"]}, {"after": "15m", "channels": ["boss"]}]
    on = stage(escalate=chain, repeat_every="10m")
    on.signal("fired")
    late = on.wait(20 * MINUTE)
    assert names(late) == ["AlertEscalated", "AlertRepeated", "AlertEscalated", "AlertRepeated"]
    assert [(event.occurred_at - T) // MINUTE for event in late] == [5, 10, 15, 20]


def test_an_alert_is_repeated_until_it_is_acknowledged_or_over() -> None:
    on = stage(repeat_every="1h")
    (fired,) = on.signal("fired")
    assert [event.repeat for event in on.wait(3 * 60 * MINUTE)] == [1, 2, 3]
    on.acknowledge(fired.alert_id)
    assert on.wait(DAY) == []
    on.signal("resolved", first=1)
    on.signal("fired")
    assert [event.repeat for event in on.wait(60 * MINUTE)] == [1]


def test_silence_of_one_alert_until_a_time() -> None:
    on = stage(repeat_every="10m")
    (fired,) = on.signal("fired")
    assert on.silence_one(fired.alert_id, 25 * MINUTE).until == T + 25 * MINUTE
    (over,) = on.wait(25 * MINUTE)
    assert (names([over]), over.muted_by, over.silence_id) == (["AlertUnsilenced"], None, None)
    assert names(on.wait(10 * MINUTE)) == ["AlertRepeated"]


def test_what_fired_before_a_silence_is_told_to_be_over_and_what_fired_in_it_is_not() -> None:
    on = stage()
    (heard,) = on.signal("fired")
    on.silence_one(heard.alert_id)
    (resolved,) = on.signal("resolved", first=1)
    assert resolved.muted_by is None
    on.silence("night", 0, DAY, Matcher(name="device_id", match="glob", value="d*"))
    fired, silenced = on.signal("fired")
    assert (fired.muted_by, silenced.silence_id, silenced.until) == ("silence:night", "night", T + DAY)
    (resolved,) = on.signal("resolved", first=fired.cause.offset)
    assert resolved.muted_by == "silence:night"


def test_a_silence_begins_and_ends_for_what_is_open() -> None:
    on = stage()
    on.signal("fired", "d1")
    on.signal("fired", "d2")
    on.silence("d1-only", MINUTE, 2 * MINUTE, Matcher(name="device_id", match="equal", value="d1"))
    (begun,) = on.wait(MINUTE)
    assert (names([begun]), begun.device_id, begun.muted_by) == (["AlertSilenced"], "d1", "silence:d1-only")
    (ended,) = on.wait(MINUTE)
    assert (names([ended]), ended.device_id, ended.muted_by) == (["AlertUnsilenced"], "d1", None)
    assert on.lifecycle.due() is None


def test_a_silence_ends_before_its_time_and_a_second_one_keeps_muting() -> None:
    on = stage()
    hot = Matcher(name="rule_id", match="equal", value="hot")
    on.silence("a", 0, DAY, hot)
    on.silence("b", 0, DAY, hot)
    on.signal("fired")
    (first,) = on.end_silence("a")
    assert first.muted_by == "silence:b"
    (second,) = on.end_silence("b")
    assert second.muted_by is None
    assert on.end_silence("b") == []


@pytest.mark.parametrize(
    ("match", "value", "silenced"),
    [
        ("equal", "north", True),
        ("equal", "n*", False),
        ("not_equal", "north", False),
        ("glob", "n[oa]r*", True),
        ("not_glob", "n*", False),
        ("glob", "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", False),
    ],
)
def test_matchers(match: str, value: str, silenced: bool) -> None:
    on = stage(labels={"team": "north"})
    on.silence("s", 0, DAY, Matcher(name="team", match=match, value=value))  # type: ignore[arg-type]
    assert len(on.signal("fired")) == (2 if silenced else 1)


def test_a_label_that_is_not_there_is_empty() -> None:
    on = stage()
    on.silence("s", 0, DAY, Matcher(name="team", match="equal", value=""))
    assert names(on.signal("fired")) == ["AlertFired", "AlertSilenced"]


def test_what_fires_in_maintenance_is_told_of_at_its_end() -> None:
    window = {"start": "2026-11-21T21:00:00Z", "until": "2026-11-21T23:10:00Z"}
    following = {"start": "2026-11-21T23:10:00Z", "until": "2026-11-21T23:20:00Z"}
    on = stage(maintenance=[window, following], repeat_every="1m")
    end = 1_795_303_200 * SECOND  # 23:20
    (fired,) = on.signal("fired")
    assert fired.muted_by == "maintenance"
    assert on.wait(end - T - 1) == []
    assert "AlertRepeated" in told(on.wait(1))


def test_weekly_maintenance() -> None:
    on = stage(maintenance=[{"days": ["sat"], "at": "22:30", "for": "2h"}])  # T is a Saturday, 23:00
    (fired,) = on.signal("fired")
    assert fired.muted_by == "maintenance"
    (at_its_end,) = on.wait(DAY)
    assert (at_its_end.occurred_at - T) // MINUTE == 90


def test_what_flaps_is_told_once_and_again_when_it_is_calm() -> None:
    on = stage(flapping={"changes": 3, "within": "10m"})
    first = 0
    for _ in range(4):
        (fired, *_rest) = on.signal("fired")
        first = fired.cause.offset
        on.wait(SECOND)
        on.signal("resolved", first=first)
        on.wait(SECOND)
    on.signal("fired")
    assert told(on.said) == [
        *["AlertFired", "AlertResolved"] * 2,
        "AlertFlapping",
        "AlertResolved",
    ]
    (calm,) = on.wait(10 * MINUTE)
    assert (calm.flapping, calm.muted_by) == (False, None)
    assert told(on.signal("resolved", first=on.offset)) == ["AlertResolved"]
    assert told(on.signal("fired")) == ["AlertFired"]


def test_a_shadow_is_heard_by_nobody() -> None:
    on = Stage()
    on.apply(rule_of(repeat_every="1m"), "shadow")
    on.signal("fired", mode="shadow")
    on.wait(2 * MINUTE)
    on.signal("resolved", first=1, mode="shadow")
    assert names(on.said) == ["AlertFired", "AlertRepeated", "AlertRepeated", "AlertResolved"]
    assert [event.muted_by for event in on.said] == ["shadow"] * 4  # type: ignore[attr-defined]


def test_a_shadow_stands_beside_the_live_version() -> None:
    on = Stage()
    on.apply(rule_of(), "live", 1)
    on.apply(rule_of(severity="critical"), "shadow", 2)
    (live,) = on.signal("fired", mode="live")
    (shadow,) = on.signal("fired", mode="shadow", first=1)
    assert live.alert_id != shadow.alert_id
    assert (shadow.rule_version, shadow.severity) == (2, "critical")


def test_a_rule_that_changes_or_ends_ends_its_alerts() -> None:
    on = stage()
    on.signal("fired")
    (changed,) = on.apply(rule_of(severity="info"), version=2)
    on.signal("fired")
    (disabled,) = on.disable("hot")
    assert (changed.reason, disabled.reason, disabled.rule_version) == ("rule_changed", "rule_disabled", 2)
    with pytest.raises(LookupError, match="hot"):
        on.signal("fired")


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (lambda on, alert: on.acknowledge("019aa000-0000-7000-8000-000000000001"), "ALERT_UNKNOWN"),
        (lambda on, alert: on.acknowledge(alert, home="d2"), "ALERT_UNKNOWN"),
        (lambda on, alert: on.acknowledge(alert), "ALREADY_ACKNOWLEDGED"),
        (lambda on, alert: on.unsilence(alert), "NOT_SILENCED"),
        (lambda on, alert: on.silence_one(alert, -1), "SILENCE_IS_OVER"),
        (lambda on, alert: (on.silence_one(alert), on.silence_one(alert))[1], "ALREADY_SILENCED"),
        (lambda on, alert: (on.signal("resolved", first=1), on.comment(alert))[1], "ALERT_RESOLVED"),
    ],
)
def test_refusals(what: object, code: str) -> None:
    on = stage()
    (fired,) = on.signal("fired")
    on.acknowledge(fired.alert_id)
    refused = what(on, fired.alert_id)  # type: ignore[operator]
    assert (type(refused).__name__, refused.code) == ("AlertCommandRefused", code)


def test_a_pending_alert_is_not_acknowledged() -> None:
    on = stage(**{"for": "5m"})
    (pending,) = on.signal("pending")
    assert on.acknowledge(pending.alert_id).code == "NOT_FIRING"


def test_a_command_that_comes_again_points_to_its_answer() -> None:
    on = stage()
    (fired,) = on.signal("fired")
    answer = on.acknowledge(fired.alert_id, name="once")
    again, third = on.acknowledge(fired.alert_id, name="once"), on.acknowledge(fired.alert_id, name="once")
    assert names([again, third]) == ["AlertCommandRepeated"] * 2
    assert again.answer_event_id == third.answer_event_id == answer.event_id
    assert again.event_id != third.event_id
