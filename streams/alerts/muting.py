"""Whom nobody hears of, and for how long: silences, maintenance windows, flapping."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from schemas.rule_messages import Matcher
from schemas.rules.maintenance import Maintenance
from streams.alerts.state import Circumstances, Incident, Silence, Track

UNHEARD = "unheard"


def muted_by(track: Track, incident: Incident, about: Circumstances) -> str | None:
    """Why nobody is to be notified of the alert now, other than that it is a shadow's; None: they are."""
    if incident.silenced:
        return "silenced"
    if incident.silences:
        return f"silence:{incident.silences[0]}"
    if any(window.covers(about.moment.clock) for window in about.rule.maintenance):
        return "maintenance"
    return "flapping" if track.flapping else None


def said(track: Track, other: str | None) -> str | None:
    """What the event says of it: a shadow's alert that would be heard is muted by being one."""
    return "shadow" if other is None and track.mode == "shadow" else other


def matching(track: Track, incident: Incident, silences: Mapping[str, Silence]) -> tuple[str, ...]:
    """Which silences are about an alert."""
    if not silences:
        return ()
    labels = msgspec.json.decode(incident.labels, type=dict[str, str])
    labels |= {"rule_id": track.rule_id, "severity": incident.severity, "group": track.group, "mode": track.mode}
    labels["device_id"] = track.device_id or ""
    return tuple(name for name, silence in sorted(silences.items()) if matches(silence.matchers, labels))


def matches(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether all matchers hold; a label that is not there is the empty text."""
    return all(_matches(matcher, labels.get(matcher.name, "")) for matcher in matchers)


def _matches(matcher: Matcher, value: str) -> bool:
    if matcher.match in ("equal", "not_equal"):
        return (value == matcher.value) == (matcher.match == "equal")
    return fnmatchcase(value, matcher.value) == (matcher.match == "glob")


def maintained_until(windows: Sequence[Maintenance], at: int) -> int | None:
    """When the maintenance windows that cover a time end, neighbours and overlapping ones taken together; None where none
    does. Of windows that never leave a gap the end of the hundredth is told."""
    found: int | None = None
    for _ in range(100):
        ends = [end for window in windows if (end := window.end(at)) is not None]
        if not ends:
            break
        found = at = max(ends)
    return found
