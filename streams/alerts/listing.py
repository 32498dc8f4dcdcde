"""Alerts as people read them: a fold of fleet.alerts. Pure."""

import heapq
from collections.abc import Iterable
from typing import Literal

import msgspec

from schemas.alert_messages import (
    AlertAcknowledged,
    AlertCommented,
    AlertEscalated,
    AlertEvent,
    AlertFired,
    AlertFlapping,
    AlertPending,
    AlertRepeated,
    AlertResolved,
    AlertSilenced,
    AlertUnsilenced,
    ResolutionReason,
    Severity,
)
from schemas.messages import Event
from schemas.rule_messages import RuleMode

AlertState = Literal["pending", "firing", "acknowledged", "resolved"]


class Comment(msgspec.Struct, frozen=True):
    """What somebody said, when."""

    at: int
    actor: str
    text: str


class Alert(msgspec.Struct):
    """An incident. Times are microseconds since 1970 UTC, in event time. `silenced` has the ids of the silences that are
    about it, and "" where it is silenced by itself; `level` is how far it was escalated."""

    alert_id: str
    rule_id: str
    rule_version: int
    mode: RuleMode
    home_key: str
    device_id: str | None
    group: str
    severity: Severity
    labels: dict[str, str]
    annotations: dict[str, str]
    value: float | None
    state: AlertState
    since: int
    fired_at: int | None = None
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    resolved_at: int | None = None
    reason: ResolutionReason | None = None
    level: int = 0
    repeats: int = 0
    flapping: bool = False
    silenced: list[str] = []
    comments: list[Comment] = []


def listed(events: Iterable[Event]) -> dict[str, Alert]:
    """The alerts by their ids, in the order in which they began; events of one partition in the order of the log."""
    found = Alerts()
    for event in events:
        found.take(event)
    return found.alerts


class Alerts:
    """All alerts that are open, and the newest `most` of those that are over (None: all). `places` are those of an alert's
    events, as they were given."""

    def __init__(self, most: int | None = None) -> None:
        self.alerts: dict[str, Alert] = {}
        self.places: dict[str, list[tuple[int, int]]] = {}
        self._most = most
        self._over: list[tuple[int, str]] = []  # a heap by time: the log's partitions come one after the other

    def take(self, event: Event, place: tuple[int, int] = (0, 0)) -> None:
        """`place`: partition and offset."""
        if not isinstance(event, AlertEvent):
            return
        known = self.alerts.get(event.alert_id)
        if known is None:
            known = self.alerts[event.alert_id] = _opened(event)
        self.places.setdefault(event.alert_id, []).append(place)
        _fold(known, event)
        if self._most is not None and isinstance(event, AlertResolved):
            heapq.heappush(self._over, (event.occurred_at, event.alert_id))
            while len(self._over) > self._most:
                _, oldest = heapq.heappop(self._over)
                del self.alerts[oldest], self.places[oldest]


def _opened(event: AlertEvent) -> Alert:
    return Alert(
        alert_id=event.alert_id,
        rule_id=event.rule_id,
        rule_version=event.rule_version,
        mode=event.mode,
        home_key=event.home_key,
        device_id=event.device_id,
        group=event.group,
        severity=event.severity,
        labels=_texts(event.labels),
        annotations=_texts(event.annotations),
        value=event.value,
        state="pending",
        since=event.since,
        silenced=[],
        comments=[],
    )


def _texts(document: str) -> dict[str, str]:
    return msgspec.json.decode(document, type=dict[str, str])


def _fold(alert: Alert, event: AlertEvent) -> None:
    alert.value = event.value if event.value is not None else alert.value
    match event:
        case AlertPending():
            pass
        case AlertFired():
            alert.state, alert.fired_at = "firing", event.occurred_at
            alert.annotations = _texts(event.annotations)
        case AlertAcknowledged():
            alert.state, alert.acknowledged_at, alert.acknowledged_by = "acknowledged", event.occurred_at, event.actor
        case AlertEscalated():
            alert.level = event.level
        case AlertRepeated():
            alert.repeats = event.repeat
        case AlertFlapping():
            alert.flapping = event.flapping
        case AlertSilenced():
            alert.silenced = [*(one for one in alert.silenced if one != (event.silence_id or "")), event.silence_id or ""]
        case AlertUnsilenced():
            alert.silenced = [one for one in alert.silenced if one != (event.silence_id or "")]
        case AlertCommented():
            pass
        case AlertResolved():
            alert.state, alert.resolved_at, alert.reason = "resolved", event.occurred_at, event.reason
    said = getattr(event, "comment", None)
    if said:
        alert.comments.append(Comment(event.occurred_at, event.actor, said))
