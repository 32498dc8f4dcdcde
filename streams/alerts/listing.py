"""Alerts as people read them: a fold of fleet.alerts. Pure."""

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
    found: dict[str, Alert] = {}
    for event in events:
        if isinstance(event, AlertEvent):
            known = found.get(event.alert_id)
            if known is None:
                known = found[event.alert_id] = _opened(event)
            _fold(known, event)
    return found


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
