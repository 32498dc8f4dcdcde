"""What the events of a back-test come to: incidents, notifications, flaps, time firing, devices; and how that differs from
what was live. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from schemas.alert_messages import (
    AlertEscalated,
    AlertEvent,
    AlertFired,
    AlertFlapping,
    AlertRepeated,
    AlertResolved,
)
from schemas.messages import Event

TOP = 10
NOTIFYING = AlertFired | AlertResolved | AlertEscalated | AlertRepeated


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that fired; `resolved_at` is None if it still did at the end. Times in microseconds, event time."""

    rule_id: str
    home_key: str
    group: str
    alert_id: str
    fired_at: int
    resolved_at: int | None
    value: float | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Incidents of one and not of the other, by rule, home key and the time at which they fired."""

    only_here: tuple[Incident, ...]
    only_live: tuple[Incident, ...]
    both: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`firing_seconds`: of all incidents together, within the time in question. `notifications`: what would have been said,
    before it is grouped. `top`: the home keys with most incidents."""

    events: int
    incidents: tuple[Incident, ...]
    open: int
    notifications: int
    flaps: int
    firing_seconds: float
    top: tuple[tuple[str, int], ...]


def incidents(events: Iterable[Event]) -> list[Incident]:
    """In the order in which they fired, as the log has it."""
    found: dict[str, Incident] = {}
    for event in events:
        if isinstance(event, AlertFired):
            found[event.alert_id] = Incident(
                rule_id=event.rule_id,
                home_key=event.home_key,
                group=event.group,
                alert_id=event.alert_id,
                fired_at=event.occurred_at,
                resolved_at=None,
                value=event.value,
            )
        elif isinstance(event, AlertResolved) and event.alert_id in found:
            over = found[event.alert_id]
            found[event.alert_id] = msgspec.structs.replace(over, resolved_at=event.occurred_at)
    return list(found.values())


def summary(events: Sequence[Event], ends: int) -> Summary:
    """Of events before the time `ends` (microseconds)."""
    fired = incidents(events)
    firing = sum(max(0, (ends if one.resolved_at is None else one.resolved_at) - one.fired_at) for one in fired)
    counted = Counter(one.home_key for one in fired)
    said = [event for event in events if isinstance(event, NOTIFYING) and event.muted_by is None and event.channels]
    ids = {one.alert_id for one in fired}
    return Summary(
        events=len(events),
        incidents=tuple(fired),
        open=sum(one.resolved_at is None for one in fired),
        notifications=sum(event.alert_id in ids for event in said),
        flaps=sum(isinstance(event, AlertFlapping) and event.flapping for event in events),
        firing_seconds=firing / 1e6,
        top=tuple(sorted(counted.items(), key=lambda one: (-one[1], one[0]))[:TOP]),
    )


def difference(here: Sequence[Event], live: Sequence[Event]) -> Difference:
    """Between a back-test and what was live in the same time."""

    def named(events: Sequence[Event]) -> dict[tuple[str, str, int], Incident]:
        return {(one.rule_id, one.home_key, one.fired_at): one for one in incidents(events)}

    ours, theirs = named(here), named(live)
    return Difference(
        only_here=tuple(one for name, one in ours.items() if name not in theirs),
        only_live=tuple(one for name, one in theirs.items() if name not in ours),
        both=len(ours.keys() & theirs.keys()),
    )


def live_events(events: Iterable[Event], rules: Iterable[str], begins: int, ends: int) -> list[Event]:
    """Of the events that the log holds, those of some rules, not as shadows, that were written in a time."""
    wanted = set(rules)
    return [
        event
        for event in events
        if isinstance(event, AlertEvent)
        and event.mode == "live"
        and event.rule_id in wanted
        and begins <= event.received_at < ends
    ]
