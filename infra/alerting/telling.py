"""Rules, silences and alerts as JSON: times as RFC 3339 text, documents as objects."""

from typing import TYPE_CHECKING, Any

import msgspec

from schemas.alert_messages import AlertEvent
from schemas.messages import Event
from schemas.moments import text
from streams.alerts.listing import Alert
from streams.rulebook.listing import RuleStanding, SilenceStanding

if TYPE_CHECKING:
    from infra.rules_past import BackTested
    from streams.rules.why import Step

_HEAD = ("event_id", "command_id", "correlation_id", "actor", "occurred_at", "received_at")
_TIMES = ("starts_at", "ends_at", "until", "due_at", "since", "fired_at", "acknowledged_at", "resolved_at")


def rule_event(event: Event) -> dict[str, Any]:
    """An event of fleet.rules without its document."""
    fields = {name: value for name, value in _built(event).items() if name not in (*_HEAD, "document", "digest")}
    found = {"event": type(event).__name__, "at": text(event.occurred_at), "actor": event.actor, **_timed(fields)}
    digest = getattr(event, "digest", None)
    return found | ({"digest": digest.hex()} if digest is not None else {})


def rule_standing(standing: RuleStanding) -> dict[str, Any]:
    return {**_timed(_built(standing)), "document": msgspec.json.decode(standing.document)}


def silence_standing(silence: SilenceStanding, now: int) -> dict[str, Any]:
    state = "pending" if now < silence.starts_at else "active" if now < silence.ends_at else "expired"
    return {**_timed(_built(silence)), "state": state}


def alert(found: Alert) -> dict[str, Any]:
    told = _timed(_built(found))
    told["comments"] = [{"at": text(one.at), "actor": one.actor, "text": one.text} for one in found.comments]
    return told


def alert_event(event: AlertEvent) -> dict[str, Any]:
    """What an event says of its own: what all events of an alert share is left to the alert."""
    fields = {name: value for name, value in _built(event).items() if name not in (*_HEAD, "labels", "annotations")}
    return {"event": type(event).__name__, "at": text(event.occurred_at), "actor": event.actor, **_timed(fields)}


def _built(value: msgspec.Struct) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(value, builtin_types=(bytes,))
    return found


def _timed(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: text(value) if name in _TIMES and value is not None else value for name, value in fields.items()}


def backtested(found: "BackTested") -> dict[str, Any]:
    """What a back-test found."""
    counted = found.summary
    return {
        "begins": text(found.begins),
        "ends": text(found.ends),
        "incidents": len(counted.incidents),
        "open": counted.open,
        "notifications": counted.notifications,
        "flaps": counted.flaps,
        "firing_seconds": counted.firing_seconds,
        "top": [{"home_key": home, "incidents": number} for home, number in counted.top],
        "difference": {
            "both": found.difference.both,
            "only_here": [_timed(_built(one)) for one in found.difference.only_here],
            "only_live": [_timed(_built(one)) for one in found.difference.only_live],
        },
    }


def step(one: "Step") -> dict[str, Any]:
    """A step of an explanation; positions as TOPIC/PARTITION/OFFSET."""
    fields = {name: value for name, value in _built(one).items() if value is not None}
    times: dict[str, Any] = {name: text(fields[name]) for name in ("clock", "at", "received") if name in fields}
    places: dict[str, Any] = {name: "/".join(map(str, fields[name])) for name in ("place", "cause") if name in fields}
    return {**fields, **times, **places}
