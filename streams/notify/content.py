"""What is told of an alert: the content of a notification, made of alert events."""

from collections.abc import Sequence
from typing import Any

import msgspec

from schemas.alert_messages import AlertEvent
from schemas.moments import text

EVENTS = {
    "AlertFired": "fired",
    "AlertEscalated": "escalated",
    "AlertAcknowledged": "acknowledged",
    "AlertRepeated": "repeated",
    "AlertResolved": "resolved",
    "AlertUnsilenced": "unsilenced",
    "AlertFlapping": "calm",
}
"""What an event is told as. Of the others nobody is told."""

STATUSES = {"resolved": "resolved", "acknowledged": "acknowledged"}
REASONS = {"fired": "firing", "unsilenced": "firing", "calm": "firing", "repeated": "repeat"}
GRAVEST = ("firing", "escalated", "acknowledged", "resolved", "repeat")


def told_of(event: AlertEvent, status: str) -> dict[str, Any]:
    """One alert in a notification. `status`: firing, acknowledged or resolved."""
    return {
        "alert_id": event.alert_id,
        "transition": event.event_id,
        "event": EVENTS[type(event).__name__],
        "status": status,
        "rule_id": event.rule_id,
        "rule_version": event.rule_version,
        "severity": event.severity,
        "device_id": event.device_id,
        "home_key": event.home_key,
        "group": _object(event.group),
        "labels": _object(event.labels),
        "annotations": _object(event.annotations),
        "value": event.value,
        "level": getattr(event, "level", 0),
        "since": text(event.since),
        "at": text(event.occurred_at),
        "actor": event.actor,
        "comment": getattr(event, "comment", None),
    }


def content_of(alerts: Sequence[dict[str, Any]], group_key: str, at: int) -> dict[str, Any]:
    """The content of a notification of these transitions, in the order of the log of each alert. Of an alert that has
    several, the newest is told."""
    newest = {alert["alert_id"]: alert for alert in alerts}
    found = {REASONS.get(alert["event"], alert["event"]) for alert in alerts}
    statuses = {alert["status"] for alert in newest.values()}
    status = statuses.pop() if len(statuses) == 1 else "firing"
    return {
        "status": status,
        "reason": next(reason for reason in GRAVEST if reason in found),
        "group_key": group_key,
        "at": text(at),
        "transitions": [alert["transition"] for alert in alerts],
        "alerts": list(newest.values()),
    }


def _object(canonical: str) -> dict[str, str]:
    return msgspec.json.decode(canonical, type=dict[str, str]) if canonical else {}
