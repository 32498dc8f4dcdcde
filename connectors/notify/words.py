"""What a notice says to people."""

from collections.abc import Mapping
from typing import Any

MOST_TITLE = 200
MOST_ALERTS = 20  # that are written out; the others are counted
DANGER = ("critical", "warning", "info")


def title(content: Mapping[str, Any]) -> str:
    """One line: what, how many, how bad. It has no line break, whatever a label holds."""
    alerts = content["alerts"]
    rules = list(dict.fromkeys(alert["rule_id"] for alert in alerts))
    subjects = list(dict.fromkeys(alert["device_id"] for alert in alerts if alert["device_id"]))
    about = f": {subjects[0]}" + (f" and {len(subjects) - 1} more" if len(subjects) > 1 else "") if subjects else ""
    text = f"[{content['status'].upper()}] {', '.join(rules)} ({worst(content)}){about}"
    return " ".join(text.split())[:MOST_TITLE]


def worst(content: Mapping[str, Any]) -> str:
    """The gravest severity among the alerts."""
    found: set[str] = {alert["severity"] for alert in content["alerts"]}
    return next(severity for severity in (*DANGER, *sorted(found)) if severity in found)


def lines(content: Mapping[str, Any]) -> list[str]:
    """A line or two for each alert."""
    alerts = content["alerts"]
    found = [line for alert in alerts[:MOST_ALERTS] for line in _of(alert)]
    more = len(alerts) - MOST_ALERTS
    if more > 0:
        found.append(f"... and {more} more")
    return found


def _of(alert: Mapping[str, Any]) -> list[str]:
    notes = alert["annotations"]
    about = alert["device_id"] or alert["home_key"]
    value = "" if alert["value"] is None else f", value {alert['value']:g}"
    found = [f"{alert['status']} {alert['severity']} {alert['rule_id']}: {about}{value}, since {alert['since']}"]
    said = notes.get("summary") or notes.get("description")
    if said:
        found.append(f"  {' '.join(str(said).split())[:500]}")
    if alert["comment"]:
        found.append(f"  {alert['actor']}: {' '.join(str(alert['comment']).split())[:500]}")
    return [" ".join(line.split()) if not line.startswith("  ") else line for line in found]
