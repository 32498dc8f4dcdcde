"""The notifier: what is told when, and that no transition is told twice, whatever is killed when."""

from collections import Counter
from uuid import uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.notify.channel import Undelivered
from connectors.ports import Away
from connectors.transactions import Disowned
from schemas.notification_messages import NotificationFailed, NotificationPlanned, NotificationSent
from tests.streams.notify.world import SECOND, SPACE, Inbox, Killed, World


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


KINDS = ["Fired", "Escalated", "Acknowledged", "Repeated", "Silenced", "Unsilenced", "Resolved"]
STORY = st.lists(
    st.tuples(
        st.sampled_from([f"Alert{kind}" for kind in KINDS]),
        st.integers(1, 4),
        st.sampled_from(["critical", "warning"]),
    ),
    max_size=14,
)  # fmt: skip


def play(story: list[tuple[str, int, str]], kills: list[int], **policy: float) -> World:
    """Tell a story to a notifier that ends at some of its points, and is started anew each time."""
    world = World({"hook": Inbox(True), "mail": Inbox(False)}, **policy)
    notifier = world.notifier()
    waiting = list(kills)

    def run(steps: int) -> None:
        nonlocal notifier
        for _ in range(steps):
            if world.kill_at is None and waiting:
                world.kill_at = world.points + waiting.pop(0)
            try:
                notifier.step(world.group.generation)
            except Killed:
                world.deaths += 1
                notifier = world.notifier()
            world.now += SECOND

    notifier.step(world.group.generation)  # it notes where it begins
    for kind, number, severity in story:
        world.alert(kind, number, f"greenhouse-{number % 2}", severity="critical" if number == 1 else severity)
        run(2)
    waiting.clear()
    world.kill_at = None
    run(40)
    return world


@given(story=STORY, kills=st.lists(st.integers(1, 9), max_size=12), wait=st.sampled_from([0.0, 3.0]))
@settings(deadline=None, max_examples=150)
def test_no_transition_is_told_twice_whatever_is_killed_when(
    story: list[tuple[str, int, str]], kills: list[int], wait: float
) -> None:
    calm, world = play(story, [], group_wait=wait), play(story, kills, group_wait=wait)
    planned = [record for record in world.recorded() if isinstance(record, NotificationPlanned)]
    for channel, inbox in world.inboxes.items():
        transitions = Counter(one for plan in planned if plan.channel == channel for one in plan.transitions)
        assert all(count == 1 for count in transitions.values()), "a transition was planned twice on a channel"
        plans = [plan.notification_id for plan in planned if plan.channel == channel]
        came = Counter(notice.id for notice in inbox.came)
        ended = {r.notification_id: r for r in world.recorded() if not isinstance(r, NotificationPlanned)}
        assert set(came) <= set(plans), "something was sent that is not in the log"
        assert set(plans) <= set(ended), "a plan has no outcome"
        if inbox.knows_repeats:
            assert set(came) == set(plans)
        else:
            assert all(count == 1 for count in came.values()), "sent again, to whom can't tell"
            doubtful = {one for one in plans if isinstance(ended[one], NotificationFailed)}
            assert set(plans) - set(came) <= doubtful
            assert len(doubtful) <= world.deaths
        if not wait:
            undisturbed = [r for r in calm.recorded() if isinstance(r, NotificationPlanned) and r.channel == channel]
            assert sorted(transitions) == sorted(one for plan in undisturbed for one in plan.transitions)


@pytest.mark.parametrize("point", range(1, 17))
def test_killed_at_each_point(point: int) -> None:
    """As above, each point by itself, so that none is missed by chance."""
    story = [("AlertFired", 1, "critical"), ("AlertFired", 2, "critical"), ("AlertResolved", 1, "critical")]
    world = play(story, [point])
    assert world.deaths == 1
    hook = world.inboxes["hook"]
    assert sorted(event for _, event in hook.told()) == ["fired", "fired", "resolved"]
    assert all(count == 1 for count in Counter(notice.id for notice in world.inboxes["mail"].came).values())
