"""What is to be told of alerts, and on which channels: a fold of fleet.alerts and of what was planned by now. Pure.

Each event of an alert that people are told of is a *transition*. It waits, for each channel, in its group (the rule, and the
labels that the rule groups by), until the group is due; then one notification tells all that waits in it. A transition that
was planned for a channel is never planned for it again.

Nobody is told of a shadow; nor of what is muted (silence, maintenance, flapping: the engine says so in each event); nor,
while a critical alert of the same device is there, of what is less severe, or while one is there that the rule names. What
then still holds when that ends is told.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from schemas.alert_messages import AlertEvent
from schemas.log import TopicPartition
from schemas.messages import Event
from schemas.notification_messages import NotificationPlanned
from streams.notify.content import EVENTS, told_of
from streams.notify.inhibiting import Inhibitions, alike

MOST_TOLD = 200  # transitions in one notification; what is more is the next one's
NAMESPACE = UUID("5b0c1f0e-8d0c-5c0e-9a55-1f3f6c1f8e21")  # of notifications; changing it would tell everything twice
ANEW = frozenset({"fired", "unsilenced", "calm", "escalated", "repeated"})
LATER = frozenset({"acknowledged", "resolved"})
STILL = frozenset({"unsilenced", "calm"})  # told only to whom the alert was not told of before
CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the channel file says of telling; seconds. `silent_ends`: channels that are not told when an alert is over.
    `inhibited_by` is what rules say."""

    default: tuple[str, ...] = ()
    group_wait: float = 5.0
    group_interval: float = 60.0
    inhibit: bool = True
    silent_ends: frozenset[str] = frozenset()
    inhibited_by: Inhibitions = field(default_factory=dict)


class Group(NamedTuple):
    """What is told together."""

    channel: str
    key: str


class Waiting(NamedTuple):
    """A transition that was not told yet. `since`: microseconds since 1970, by the clock of who notifies."""

    alert: dict[str, Any]
    source: TopicPartition
    offset: int
    since: int

    @property
    def transition(self) -> str:
        return str(self.alert["transition"])


class Planning(NamedTuple):
    """A notification that is due."""

    group: Group
    transitions: list[Waiting]

    @property
    def identity(self) -> str:
        """The same for the same transitions on the same channel."""
        named = "\n".join([self.group.channel, *sorted(one.transition for one in self.transitions)])
        return str(uuid5(NAMESPACE, named))


@dataclass(slots=True)
class _Open:
    """An alert that is not over. `news`: the newest event by which people learn that it is there."""

    event: AlertEvent
    status: str = "pending"
    muted: bool = False
    news: AlertEvent | None = None


@dataclass(slots=True)
class Book:
    """`policy` may be replaced at any time: what waits already waits on."""

    policy: Policy
    _open: dict[str, _Open] = field(default_factory=dict)
    _homes: dict[str, set[str]] = field(default_factory=dict)
    _rules: dict[str, set[str]] = field(default_factory=dict)
    _waiting: dict[Group, list[Waiting]] = field(default_factory=dict)
    _told: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    """Alert -> the channels and transitions that were planned; of alerts that are open, or of which something waits."""
    _last: dict[Group, int] = field(default_factory=dict)

    def fold(self, source: TopicPartition, offset: int, event: Event, now: int | None) -> None:
        """An event of fleet.alerts, in the order of its partition. `now` is None for one below the position: it was told, or
        is not to be."""
        if not isinstance(event, AlertEvent) or event.mode != "live":
            return
        kind = EVENTS.get(type(event).__name__, "")
        before = self._open.get(event.alert_id)
        held_back = before is not None and self._counts(before)
        alert = self._kept(event, kind)
        alert.muted = event.muted_by is not None
        if alert.muted:
            self._drop([event.alert_id])
        since = None if now is None else min(now, event.received_at)
        if kind in ANEW and alert.status == "firing":
            alert.news = event
        if self._tells(kind, alert) and since is not None:
            self._wait(event, alert.status, Waiting(told_of(event, alert.status), source, offset, since))
        if kind == "resolved":
            self._close(event)
        if self._counts(alert) != held_back:
            self._weigh(self._lesser(event), not held_back, (source, offset, since))

    def learn(self, planned: NotificationPlanned, alerts: Collection[str]) -> None:
        """What was planned earlier, before the events of these alerts are folded for telling: the others are over."""
        for alert_id, transition in zip(planned.alert_ids, planned.transitions, strict=True):
            if alert_id in alerts:
                self._told.setdefault(alert_id, set()).add((planned.channel, transition))
        self._last[Group(planned.channel, planned.group_key)] = planned.occurred_at

    def plan(self, now: int, busy: Collection[str]) -> list[Planning]:
        """What is due: one notification for each channel that is not `busy`."""
        found: dict[str, Planning] = {}
        for group, waiting in list(self._waiting.items()):
            if group.channel in busy or group.channel in found or self._due(group, waiting) > now:
                continue
            wanted = [one for one in waiting if self._wanted(group.channel, one, waiting)]
            if not wanted:
                del self._waiting[group]
                self._forget({one.alert["alert_id"] for one in waiting})
                continue
            self._waiting[group] = wanted
            found[group.channel] = Planning(group, wanted[:MOST_TOLD])
        return list(found.values())

    def planned(self, planning: Planning, now: int) -> None:
        """It is in the log."""
        group, done = planning
        left = self._waiting[group][len(done) :]
        for one in done:
            self._told.setdefault(one.alert["alert_id"], set()).add((group.channel, one.transition))
        # What did not go into one notification is told at once, in the next.
        self._last[group] = now if not left else now - round(self.policy.group_interval * 1e6)
        if left:
            self._waiting[group] = left
        else:
            del self._waiting[group]
        self._forget({one.alert["alert_id"] for one in done})
        oldest = now - round(self.policy.group_interval * 1e6)
        self._last = {group: at for group, at in self._last.items() if at > oldest or group in self._waiting}

    def position(self, source: TopicPartition, end: int) -> int:
        """From where the events must be folded for telling again, after a restart: `end` is behind what was folded."""
        offsets = (one.offset for waiting in self._waiting.values() for one in waiting if one.source == source)
        return min(offsets, default=end)

    def concerned(self) -> set[str]:
        """The alerts that are open."""
        return set(self._open)

    # ---

    def _kept(self, event: AlertEvent, kind: str) -> _Open:
        alert = self._open.get(event.alert_id)
        if alert is None:
            alert = self._open[event.alert_id] = _Open(event)
            self._homes.setdefault(event.home_key, set()).add(event.alert_id)
            self._rules.setdefault(event.rule_id, set()).add(event.alert_id)
        alert.event = event
        if kind == "fired" or (kind in ANEW and alert.status == "pending"):
            alert.status = "firing"
        elif kind in LATER:
            alert.status = kind
        return alert

    def _close(self, event: AlertEvent) -> None:
        self._open.pop(event.alert_id, None)
        for index, name in ((self._homes, event.home_key), (self._rules, event.rule_id)):
            there = index.get(name, set())
            there.discard(event.alert_id)
            if not there:
                index.pop(name, None)
        self._forget({event.alert_id})

    def _tells(self, kind: str, alert: _Open) -> bool:
        if not kind or alert.muted or (kind in STILL and alert.status != "firing"):
            return False
        if kind == "calm" and getattr(alert.event, "flapping", False):
            return False
        return kind in LATER or not self._inhibited(alert)

    def _inhibited(self, alert: _Open) -> bool:
        for inhibition in self.policy.inhibited_by.get(alert.event.rule_id, ()):
            others = (self._open[other] for other in self._rules.get(inhibition.rule, ()))
            if any(self._counts(other) and alike(other.event, alert.event, inhibition.equal) for other in others):
                return True
        if not self.policy.inhibit or alert.event.severity == CRITICAL:
            return False
        at_home = (self._open[other] for other in self._homes.get(alert.event.home_key, ()))
        return any(other.event.severity == CRITICAL and self._counts(other) for other in at_home)

    @staticmethod
    def _counts(alert: _Open) -> bool:
        """Whether it keeps others back: who is told of it needs not be told of them."""
        return alert.status in ("firing", "acknowledged") and not alert.muted

    def _lesser(self, event: AlertEvent) -> list[_Open]:
        """The open alerts that an alert keeps back while it is there."""
        found = set[str]()
        if self.policy.inhibit and event.severity == CRITICAL:
            at_home = self._homes.get(event.home_key, set())
            found = {one for one in at_home if self._open[one].event.severity != CRITICAL}
        for rule, inhibitions in self.policy.inhibited_by.items():
            for inhibition in inhibitions:
                if inhibition.rule == event.rule_id:
                    others = self._rules.get(rule, ())
                    found |= {one for one in others if alike(event, self._open[one].event, inhibition.equal)}
        return [self._open[one] for one in sorted(found)]

    def _weigh(self, lesser: Sequence[_Open], graver: bool, at: tuple[TopicPartition, int, int | None]) -> None:
        """What keeps these alerts back has come, or has gone."""
        if graver:
            self._drop([alert.event.alert_id for alert in lesser], ANEW)
            return
        source, offset, since = at
        for alert in lesser:
            quiet = alert.news is None or alert.status != "firing" or alert.muted or self._inhibited(alert)
            if since is not None and alert.news is not None and not quiet:
                told = told_of(alert.news, "firing")
                self._wait(alert.news, alert.status, Waiting(told, source, offset, since))

    def _wait(self, event: AlertEvent, status: str, waiting: Waiting) -> None:
        told = self._told.get(event.alert_id, set())
        channels = set(event.channels or self.policy.default)
        if status in LATER:
            channels |= {channel for channel, _ in told}
        if status == "resolved":
            channels -= self.policy.silent_ends
        for channel in sorted(channels):
            queue = self._waiting.setdefault(Group(channel, f"{event.rule_id} {event.group or '{}'}"), [])
            if (channel, event.event_id) not in told and all(one.transition != event.event_id for one in queue):
                queue.append(waiting)
        self._clean()

    def _clean(self) -> None:
        for group in [group for group, waiting in self._waiting.items() if not waiting]:
            del self._waiting[group]

    def _drop(self, alerts: Collection[str], kinds: Collection[str] = ANEW | LATER) -> None:
        """What waits of these alerts is not told."""
        for group, waiting in self._waiting.items():
            kept = [one for one in waiting if one.alert["alert_id"] not in alerts or one.alert["event"] not in kinds]
            self._waiting[group] = kept
        self._clean()

    def _due(self, group: Group, waiting: Iterable[Waiting]) -> float:
        begun = min(one.since for one in waiting) + self.policy.group_wait * 1e6
        return max(begun, self._last.get(group, 0) + self.policy.group_interval * 1e6 if group in self._last else begun)

    def _wanted(self, channel: str, one: Waiting, waiting: Iterable[Waiting]) -> bool:
        """Whether it is still news on this channel."""
        alert, kind = one.alert["alert_id"], one.alert["event"]
        told = any(known == channel for known, _ in self._told.get(alert, ()))
        if kind in STILL:
            return not told
        begun = (other.alert["event"] in ANEW for other in waiting if other.alert["alert_id"] == alert)
        return kind not in LATER or told or any(begun)

    def _forget(self, alerts: Collection[str]) -> None:
        """Of alerts that are over, and of which nothing waits, nothing is kept."""
        waits = {one.alert["alert_id"] for waiting in self._waiting.values() for one in waiting}
        for alert in alerts:
            if alert not in self._open and alert not in waits:
                self._told.pop(alert, None)
