"""Notices to send."""

from typing import Any

from connectors.notify.channel import Notice

ID = "6f0d4b0e-5b53-5b7e-9d0a-9e6f3d8c1a01"


def alert(number: int = 1, **other: Any) -> dict[str, Any]:
    return {
        "alert_id": f"00000000-0000-5000-8000-{number:012d}",
        "transition": f"00000000-0000-5000-9000-{number:012d}",
        "event": "fired",
        "status": "firing",
        "rule_id": "device-offline",
        "rule_version": 2,
        "severity": "critical",
        "device_id": f"greenhouse-{number}",
        "home_key": f"greenhouse-{number}",
        "group": {},
        "labels": {"site": "north"},
        "annotations": {"summary": f"greenhouse-{number} is silent"},
        "value": 301.5,
        "level": 0,
        "since": "2026-05-01T12:00:00Z",
        "at": "2026-05-01T12:05:00Z",
        "actor": "engine",
        "comment": None,
        **other,
    }


def notice(*alerts: dict[str, Any], status: str = "firing", identity: str = ID) -> Notice:
    content = {
        "status": status,
        "reason": status,
        "group_key": "device-offline {}",
        "at": "2026-05-01T12:05:01Z",
        "alerts": list(alerts) or [alert()],
    }
    return Notice(identity, content)
