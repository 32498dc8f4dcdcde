"""The notifier, killed at any point: no transition is told twice, and none is lost where the receiver can tell a repeat."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.notification_messages import NotificationFailed, NotificationPlanned
from tests.streams.notify.world import SECOND, Inbox, Killed, World

KINDS = ["Fired", "Escalated", "Acknowledged", "Repeated", "Silenced", "Unsilenced", "Resolved"]


def lives(told: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    """What of it the life of an alert allows: it fires first and once, and nothing comes after its end."""
    begun, ended, kept = set[int](), set[int](), []
    for kind, number, severity in told:
        if number not in ended and (number in begun) != (kind == "AlertFired"):
            begun.add(number)
            kept.append((kind, number, severity))
            if kind == "AlertResolved":
                ended.add(number)
    return kept


STORY = st.lists(
    st.tuples(
        st.sampled_from([f"Alert{kind}" for kind in KINDS]),
        st.integers(1, 4),
        st.sampled_from(["critical", "warning"]),
    ),
    max_size=24,
).map(lives)


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


@given(
    story=STORY,
    kills=st.lists(st.integers(1, 9), max_size=12),
    wait=st.sampled_from([0.0, 3.0]),
    inhibit=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_no_transition_is_told_twice_whatever_is_killed_when(
    story: list[tuple[str, int, str]], kills: list[int], wait: float, inhibit: bool
) -> None:
    policy = {"group_wait": wait, "inhibit": inhibit}
    calm, world = play(story, [], **policy), play(story, kills, **policy)
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
        if not (wait or inhibit):  # else what comes while nobody runs may rightly keep back what came before
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
