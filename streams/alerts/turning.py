"""What a condition that comes or goes does to an alert, and what time does. Pure: a track in, the track and events out."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec
from msgspec.structs import replace

from schemas.alert_messages import (
    AlertEscalated,
    AlertFired,
    AlertFlapping,
    AlertPending,
    AlertRepeated,
    AlertResolved,
    AlertSilenced,
    AlertUnsilenced,
    ResolutionReason,
)
from schemas.messages import Event
from schemas.rules.document import Rule
from streams.alerts.making import Making
from streams.alerts.muting import maintained_until, matching
from streams.alerts.state import Annotate, Circumstances, Incident, Track, alert_id
from streams.rules.ports import Moment, Signal

Turned = tuple[Track, Sequence[Event]]


def signalled(track: Track, about: Circumstances, signal: Signal, version: int, annotate: Annotate) -> Turned:
    """A rule's condition has come or gone. What is so already changes nothing: each transition happens once."""
    making = Making(track, about, signal.cause)
    open_ = track.incident
    if signal.kind == "pending" and open_ is None:
        _open(making, signal, version, annotate)
        due = about.moment.at + about.rule.hold_micros if about.rule.hold_micros else None
        making.note(AlertPending, due_at=due)
        _match_silences(making)
    elif signal.kind == "fired" and (open_ is None or open_.phase == "pending"):
        if open_ is None:
            _open(making, signal, version, annotate)
        else:
            making.change(**_filled(about.rule, signal, annotate))
        _fire(making)
    elif signal.kind in ("lapsed", "resolved") and open_ is not None:
        making.change(value=_number(signal.value))
        making.tell_end(AlertResolved, reason=signal.reason, fired_at=open_.fired_at)
    return making.track, making.events


def resolved(track: Track, about: Circumstances, reason: ResolutionReason) -> Turned:
    """An open alert is over for another reason than its condition."""
    making = Making(track, about)
    if track.incident is not None:
        making.tell_end(AlertResolved, reason=reason, fired_at=track.incident.fired_at)
    return making.track, making.events


def _open(making: Making, signal: Signal, version: int, annotate: Annotate) -> None:
    rule, moment = making.about.rule, making.about.moment
    clock = moment.at if signal.first is None else moment.clock  # of a window's end the clock is no part
    identity = alert_id(making.track, signal.first, signal.cause, clock)
    filled = _filled(rule, signal, annotate)
    incident = Incident(identity, version, "pending", signal.first, moment.at, severity=rule.severity, **filled)
    making.track = replace(making.track, incident=incident)


def _filled(rule: Rule, signal: Signal, annotate: Annotate) -> dict[str, Any]:
    """What an alert says to people: labels, annotations and the value."""
    named = msgspec.json.decode(signal.group, type=dict[str, Any]) if signal.group else {}
    grouped = {name: str(value) for name, value in named.items() if value is not None}
    fields = {**signal.fields, "value": signal.value, "group": signal.group}
    return {
        "labels": _json({**grouped, **rule.labels}),
        "annotations": _json(annotate(rule, fields)),
        "value": _number(signal.value),
    }


def _json(texts: Mapping[str, str]) -> str:
    return msgspec.json.encode(texts, order="sorted").decode()


def _number(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def _fire(making: Making) -> None:
    rule, moment = making.about.rule, making.about.moment
    every = rule.repeat_every_micros
    making.change(
        phase="firing",
        fired_at=moment.at,
        fired_clock=moment.clock,
        repeat_at=None if every is None else moment.clock + every,
        maintained_until=maintained_until(rule.maintenance, moment.clock),
    )
    silences = matching(making.track, making.incident, making.about.silences)
    begun = tuple(name for name in silences if name not in making.incident.silences)
    making.change(silences=(*making.incident.silences, *begun))
    starts_to_flap = _count_firing(making, moment)
    if starts_to_flap:
        making.note(AlertFired, "flapping")
        flapping = rule.flapping
        assert flapping is not None
        making.tell(AlertFlapping, flapping=True, changes=len(making.track.fires), window=flapping.within_micros)
        making.track = replace(making.track, flapping=True)
    else:
        making.tell(AlertFired)
    _note_silences(making, begun)


def _count_firing(making: Making, moment: Moment) -> bool:
    """Take a firing into account; whether it is the one by which the alert begins to flap."""
    flapping = making.about.rule.flapping
    if flapping is None:
        making.track = replace(making.track, fires=(), flapping=False)
        return False
    recent = tuple(at for at in making.track.fires if at > moment.clock - flapping.within_micros)
    fires = (*recent, moment.clock)[-flapping.changes :]
    making.track = replace(making.track, fires=fires)
    return len(fires) >= flapping.changes and not making.track.flapping


def _match_silences(making: Making) -> None:
    """The silences that count when an alert opens are about it from the start."""
    found = matching(making.track, making.incident, making.about.silences)
    making.change(silences=found)
    _note_silences(making, found)


def _note_silences(making: Making, names: Sequence[str]) -> None:
    for name in names:
        silence = making.about.silences[name]
        making.note(AlertSilenced, silence_id=name, until=silence.ends_at, comment=silence.comment)


def silence_begins(track: Track, about: Circumstances, name: str) -> Turned:
    """A silence counts from now on; `about.silences` has it."""
    making = Making(track, about)
    incident = track.incident
    begins = incident is not None and name not in incident.silences
    if incident is not None and begins and matching(track, incident, {name: about.silences[name]}):
        making.change(silences=(*incident.silences, name))
        _note_silences(making, (name,))
    return making.track, making.events


def silence_ends(track: Track, about: Circumstances, name: str, comment: str | None) -> Turned:
    making = Making(track, about)
    incident = track.incident
    if incident is not None and name in incident.silences:
        making.change(silences=tuple(other for other in incident.silences if other != name))
        unsilence(making, name, comment)
    return making.track, making.events


def unsilence(making: Making, name: str | None, comment: str | None) -> None:
    """What has ended is told, where the alert fires: people have heard nothing of it."""
    if making.incident.phase == "firing":
        making.tell(AlertUnsilenced, silence_id=name, comment=comment)
    else:
        making.note(AlertUnsilenced, silence_id=name, comment=comment)


# --- time ---------------------------------------------------------------------------------------------------------------


def next_due(track: Track, rule: Rule) -> int | None:
    """When time changes something about a track; by the engine's clock."""
    dues = _calm(track, rule)
    incident = track.incident
    if incident is not None:
        dues += [at for at in (incident.silenced_until, incident.maintained_until) if at is not None]
        if incident.fired_clock is not None and not incident.acknowledged:
            dues += [] if incident.repeat_at is None else [incident.repeat_at]
            steps = rule.escalate[incident.level : incident.level + 1]
            dues += [incident.fired_clock + step.after_micros for step in steps]
    return min(dues, default=None)


def _calm(track: Track, rule: Rule) -> list[int]:
    """When firings are so long ago that they count no more."""
    return [track.fires[-1] + rule.flapping.within_micros] if track.fires and rule.flapping is not None else []


def elapsed(track: Track, about: Circumstances) -> Turned:
    """All that is due at `about.moment.clock` happens, in a fixed order; nothing is due then any more."""
    making, now, rule = Making(track, about), about.moment.clock, about.rule
    if any(at <= now for at in _calm(track, rule)):
        _become_calm(making, rule)
    incident = making.track.incident
    if incident is None:
        return making.track, making.events
    if incident.silenced_until is not None and incident.silenced_until <= now:
        making.change(silenced=False, silenced_until=None)
        unsilence(making, None, None)
    if incident.maintained_until is not None and incident.maintained_until <= now:
        _end_maintenance(making, rule)
    if incident.fired_clock is None or incident.acknowledged:
        return making.track, making.events
    for step in rule.escalate[incident.level :]:
        if incident.fired_clock + step.after_micros <= now:
            making.change(level=making.incident.level + 1)
            making.tell(AlertEscalated, step.channels, level=making.incident.level)
        else:
            break
    _repeat(making, rule, now)
    return making.track, making.events


def _become_calm(making: Making, rule: Rule) -> None:
    flapped = making.track.flapping
    making.track = replace(making.track, fires=(), flapping=False)
    if flapped and making.track.incident is not None:
        assert rule.flapping is not None
        making.tell(AlertFlapping, flapping=False, changes=0, window=rule.flapping.within_micros)


def _end_maintenance(making: Making, rule: Rule) -> None:
    """Who could not be told that it fired is told that it still does."""
    making.change(maintained_until=maintained_until(rule.maintenance, making.about.moment.clock))
    if making.incident.maintained_until is None and not making.incident.told and making.muted_by is None:
        making.change(repeats=making.incident.repeats + 1)
        making.tell(AlertRepeated, repeat=making.incident.repeats)


def _repeat(making: Making, rule: Rule, now: int) -> None:
    """What is muted is not repeated; its time goes on."""
    every, at = rule.repeat_every_micros, making.incident.repeat_at
    if at is None or at > now:
        return
    making.change(repeat_at=None if every is None else at + every * ((now - at) // every + 1))
    if making.muted_by is None:
        making.change(repeats=making.incident.repeats + 1)
        making.tell(AlertRepeated, repeat=making.incident.repeats)
