"""The notifier: what is told when, and on which channels."""

from uuid import uuid5

import pytest

from connectors.notify.channel import Undelivered
from connectors.ports import Away
from connectors.transactions import Disowned
from schemas.notification_messages import NotificationFailed, NotificationPlanned, NotificationSent
from tests.streams.notify.world import SPACE, Inbox, World


def one(**policy: object) -> tuple[World, Inbox]:
    inbox = Inbox(knows_repeats=True)
    return World({"hook": inbox}, **policy), inbox


def events(inbox: Inbox) -> list[str]:
    return [event for _, event in inbox.told()]


def test_a_life_is_told_and_recorded_in_order() -> None:
    world, inbox = one()
    notifier = world.notifier()
    for kind in ("AlertPending", "AlertFired", "AlertEscalated", "AlertAcknowledged", "AlertCommented", "AlertResolved"):
        world.alert(kind, 1)
        world.settle(notifier)
    assert events(inbox) == ["fired", "escalated", "acknowledged", "resolved"]
    assert [notice.content["status"] for notice in inbox.came] == ["firing", "firing", "acknowledged", "resolved"]
    assert [type(record) for record in world.recorded()] == [NotificationPlanned, NotificationSent] * 4
    ids = [record.event_id for record in world.recorded()]
    assert len(set(ids)) == len(ids)
    assert [record.notification_id for record in world.recorded()[::2]] == [notice.id for notice in inbox.came]


def test_the_plan_is_in_the_log_before_anything_is_sent() -> None:
    world, inbox = one()
    notifier = world.notifier()
    world.alert("AlertFired", 1)
    seen: list[int] = []

    def deliver(notice: object, seconds: float) -> str:
        seen.append(sum(isinstance(record, NotificationPlanned) for record in world.recorded()))
        return "ok"

    inbox.deliver = deliver  # type: ignore[method-assign,assignment]
    world.settle(notifier)
    assert seen == [1]


def test_what_was_there_before_there_was_a_notifier_is_old_news() -> None:
    world, inbox = one()
    world.alert("AlertFired", 1)
    notifier = world.notifier()
    world.settle(notifier)
    world.alert("AlertFired", 2)
    world.settle(notifier)
    assert len(inbox.came) == 1


def test_a_group_is_told_together_and_waits() -> None:
    world, inbox = one(group_wait=5.0, group_interval=60.0)
    notifier = world.notifier()
    world.settle(notifier, 1)
    world.alert("AlertFired", 1, labels='{"site":"north"}')
    world.settle(notifier, 3)
    world.alert("AlertFired", 2)
    world.alert("AlertFired", 3, rule_id="cold")
    assert inbox.came == []
    world.settle(notifier, 10)
    assert [len(notice.content["alerts"]) for notice in inbox.came] == [2, 1]
    world.alert("AlertResolved", 1)
    world.settle(notifier, 30)
    assert len(inbox.came) == 2, "the group's interval is not over"
    world.settle(notifier, 40)
    assert [notice.content["status"] for notice in inbox.came] == ["firing", "firing", "resolved"]


def test_groups_by_labels() -> None:
    world, inbox = one()
    notifier = world.notifier()
    for number, site in ((1, "north"), (2, "south"), (3, "north")):
        world.alert("AlertFired", number, group=f'{{"site":"{site}"}}')
    world.settle(notifier)
    assert sorted(len(notice.content["alerts"]) for notice in inbox.came) == [1, 2]
    assert {notice.content["group_key"] for notice in inbox.came} == {'hot {"site":"north"}', 'hot {"site":"south"}'}


@pytest.mark.parametrize("muted_by", ["shadow", "maintenance", "flapping", "silenced", "silence:night"])
def test_what_is_muted_is_told_to_nobody(muted_by: str) -> None:
    world, inbox = one()
    notifier = world.notifier()
    for kind in ("AlertFired", "AlertEscalated", "AlertRepeated", "AlertResolved"):
        world.alert(kind, 1, muted_by=muted_by)
    world.settle(notifier)
    assert inbox.came == []
    assert world.recorded() == []


def test_a_shadow_notifies_nobody() -> None:
    world, inbox = one()
    notifier = world.notifier()
    for kind in ("AlertFired", "AlertResolved"):
        world.alert(kind, 1, mode="shadow")
    world.settle(notifier)
    assert inbox.came == []


def test_a_silence_takes_back_what_waits_and_its_end_tells_it() -> None:
    world, inbox = one(group_wait=5.0)
    notifier = world.notifier()
    world.settle(notifier, 1)
    world.alert("AlertFired", 1)
    world.settle(notifier, 2)
    world.alert("AlertSilenced", 1)
    world.settle(notifier, 10)
    assert inbox.came == []
    world.alert("AlertUnsilenced", 1)
    world.settle(notifier, 10)
    assert events(inbox) == ["unsilenced"]
    world.alert("AlertSilenced", 1)
    world.alert("AlertUnsilenced", 1)
    world.settle(notifier, 10)
    assert events(inbox) == ["unsilenced"], "who was told that it fires needs not be told again"


def test_something_graver_of_the_same_device_silences_what_is_less() -> None:
    world, inbox = one()
    notifier = world.notifier()
    world.alert("AlertFired", 1, "greenhouse-1", rule_id="offline")
    world.alert("AlertFired", 2, "greenhouse-1", rule_id="cpu", severity="warning")
    world.alert("AlertFired", 3, "greenhouse-2", rule_id="cpu", severity="warning")
    world.settle(notifier)
    assert {alert for alert, _ in inbox.told()} == {
        world_id(1), world_id(3),
    }  # fmt: skip
    world.alert("AlertResolved", 1, "greenhouse-1", rule_id="offline")
    world.settle(notifier)
    assert (world_id(2), "fired") in inbox.told(), "it still holds, and nobody was told"


@pytest.mark.parametrize(("equal", "kept_back"), [("", {2}), ("equal: [site], ", {4}), ("equal: [], ", {2, 3, 4})])
def test_a_rule_names_what_its_alerts_are_kept_back_by(equal: str, kept_back: set[int]) -> None:
    world, inbox = one(inhibit=False)
    world.rule(f"{{id: cpu, input: heartbeat, when: uptime > 1, inhibited_by: [{{{equal}rule: site-down}}]}}")
    notifier = world.notifier()
    world.alert("AlertFired", 1, "a", rule_id="site-down", severity="warning", labels='{"site":"north"}')
    world.alert("AlertFired", 2, "a", rule_id="cpu", labels='{"site":"south"}')
    world.alert("AlertFired", 3, "b", rule_id="cpu", labels='{"site":"south"}')
    world.alert("AlertFired", 4, "c", rule_id="cpu", labels='{"site":"north"}')
    world.alert("AlertFired", 5, "a", rule_id="disk")
    world.settle(notifier)
    assert {alert for alert, _ in inbox.told()} == {world_id(number) for number in {1, 2, 3, 4, 5} - kept_back}
    notifier = world.notifier()
    world.alert("AlertResolved", 1, "a", rule_id="site-down", severity="warning", labels='{"site":"north"}')
    world.settle(notifier)
    after = [told for told in inbox.told() if told[1] == "fired"]
    assert sorted(after) == sorted((world_id(number), "fired") for number in range(1, 6)), "what still holds is told, once"


def test_what_names_itself_or_another_keeps_back_what_waits() -> None:
    world, inbox = one(inhibit=False, group_wait=5.0)
    world.rule("{id: cpu, input: heartbeat, when: uptime > 1, inhibited_by: [{rule: down}]}")
    notifier = world.notifier()
    world.alert("AlertFired", 1, "a", rule_id="cpu")
    world.settle(notifier, 1)
    world.alert("AlertFired", 2, "a", rule_id="down")
    world.settle(notifier, 10)
    assert {alert for alert, _ in inbox.told()} == {world_id(2)}


def world_id(number: int) -> str:
    return str(uuid5(SPACE, str(number)))


def test_nothing_is_silenced_where_the_file_says_so() -> None:
    world, inbox = one(inhibit=False)
    notifier = world.notifier()
    world.alert("AlertFired", 1, "greenhouse-1")
    world.alert("AlertFired", 2, "greenhouse-1", severity="warning")
    world.settle(notifier)
    assert len(inbox.told()) == 2


def test_channels_of_the_event_take_the_place_of_the_default_ones() -> None:
    world = World({"hook": Inbox(True), "pager": Inbox(True)}, default=("hook",))
    notifier = world.notifier()
    world.alert("AlertFired", 1)
    world.alert("AlertEscalated", 1, channels=("pager",))
    world.settle(notifier)
    assert events(world.inboxes["hook"]) == ["fired"]
    assert events(world.inboxes["pager"]) == ["escalated"]
    world.alert("AlertResolved", 1)
    world.settle(notifier)
    assert events(world.inboxes["pager"])[-1] == "resolved", "who was told that it fires is told that it is over"
    assert events(world.inboxes["hook"])[-1] == "resolved"


def test_an_end_is_not_told_to_whom_the_beginning_was_not() -> None:
    world, inbox = one()
    world.alert("AlertFired", 1)
    notifier = world.notifier()
    world.alert("AlertResolved", 1)
    world.settle(notifier)
    assert inbox.came == []


def test_a_channel_that_wants_no_ends() -> None:
    inbox = Inbox(True, tells_resolved=False)
    world = World({"hook": inbox})
    notifier = world.notifier()
    world.alert("AlertFired", 1)
    world.settle(notifier)
    world.alert("AlertResolved", 1)
    world.settle(notifier)
    assert events(inbox) == ["fired"]


def test_a_channel_that_is_not_there_is_a_recorded_failure() -> None:
    world, inbox = one()
    notifier = world.notifier()
    world.alert("AlertFired", 1, channels=("pigeon", "hook"))
    world.settle(notifier)
    (failed,) = [record for record in world.recorded() if isinstance(record, NotificationFailed)]
    assert (failed.channel, failed.reason) == ("pigeon", "not_configured")
    assert events(inbox) == ["fired"]


def test_a_failure_is_recorded_and_others_are_not_held_up() -> None:
    world = World({"bad": Inbox(True), "good": Inbox(True)})
    world.inboxes["bad"].fault = Undelivered("timeout", "no answer within 1 s", again=False)
    notifier = world.notifier()
    world.alert("AlertFired", 1)
    world.settle(notifier)
    found = {record.channel: record for record in world.recorded() if not isinstance(record, NotificationPlanned)}
    assert isinstance(found["good"], NotificationSent)
    assert isinstance(found["bad"], NotificationFailed)
    assert found["bad"].reason == "timeout"


def test_a_thousand_at_once_are_several_notifications() -> None:
    world, inbox = one(group_interval=3600.0)
    notifier = world.notifier()
    for number in range(450):
        world.alert("AlertFired", number)
    world.settle(notifier, 10)
    assert [len(notice.content["alerts"]) for notice in inbox.came] == [200, 200, 50]


def test_the_broker_away_loses_nothing() -> None:
    world, inbox = one()
    notifier = world.notifier()
    world.alert("AlertFired", 1)
    world.log.away = True
    with pytest.raises(Away):
        notifier.step(world.group.generation)
    world.log.away = False
    world.settle(notifier)
    assert events(inbox) == ["fired"]


def test_who_lost_its_place_writes_and_sends_nothing() -> None:
    world, inbox = one()
    old = world.notifier()
    stale = world.group.generation
    new = world.notifier()
    world.alert("AlertFired", 1)
    with pytest.raises(Disowned):
        old.step(stale)
    assert inbox.came == []
    world.settle(new)
    assert len(inbox.came) == 1


def test_what_became_of_a_notice_is_not_forgotten_where_its_record_failed() -> None:
    inbox = Inbox(knows_repeats=False)  # a plan of which nothing is known would be told as in doubt
    world = World({"mail": inbox})
    notifier = world.notifier()
    world.alert("AlertFired", 1)
    notifier.step(world.group.generation)
    stale = world.group.generation
    world.group.join()
    with pytest.raises(Disowned):
        notifier.step(stale)
    notifier.start(world.group.committed)
    world.settle(notifier)
    assert [type(record) for record in world.recorded()] == [NotificationPlanned, NotificationSent]
    assert len(inbox.came) == 1
