"""What is remembered of the alerts of one rule about one thing, and what they are decided by.

A `Track` is of one rule, mode, home key and group; it has at most one open incident, and remembers when it fired, by which
flapping is told. Times are microseconds since 1970 UTC; `clock` ones are the engine's, others event time.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid5

import msgspec

from schemas.alert_messages import Severity
from schemas.rule_messages import Matcher, RuleMode
from schemas.rules.document import Rule
from streams.rules.ports import Moment, Place

FLEET = "fleet/"
"""A home key that begins so is of no single device."""

NAMESPACE = UUID("6a5b1c1e-5c0e-5f0b-9d5f-3e1b7a0c9a11")

Phase = Literal["pending", "firing"]
Annotate = Callable[[Rule, Mapping[str, Any]], Mapping[str, str]]
"""The annotations of a rule, filled in with what is known of a row."""


class Incident(msgspec.Struct, frozen=True, array_like=True):
    """An alert that is not resolved.

    `number` is that of its next event. `silenced`: alone, until `silenced_until` (None: as long as it is open); `silences`
    are those that match. `told`: somebody was notified of it. `maintained_until`: when a maintenance window ends in which
    it fired unheard.
    """

    alert_id: str
    version: int
    phase: Phase
    first: Place | None
    since: int
    labels: str
    annotations: str
    severity: Severity
    value: float | None = None
    number: int = 0
    fired_at: int | None = None
    fired_clock: int | None = None
    acknowledged: bool = False
    level: int = 0
    repeats: int = 0
    repeat_at: int | None = None
    silenced: bool = False
    silenced_until: int | None = None
    silences: tuple[str, ...] = ()
    told: bool = False
    maintained_until: int | None = None


class Track(msgspec.Struct, frozen=True, array_like=True):
    """`fires` are the clock times of its newest firings, as many as flapping needs."""

    rule_id: str
    mode: RuleMode
    home: str
    group: str
    incident: Incident | None = None
    fires: tuple[int, ...] = ()
    flapping: bool = False

    @property
    def device_id(self) -> str | None:
        return None if self.home.startswith(FLEET) else self.home


class Silence(msgspec.Struct, frozen=True, array_like=True):
    """Alerts that all matchers hold for notify nobody from `starts_at` until before `ends_at`."""

    silence_id: str
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    comment: str

    def counts(self, clock: int) -> bool:
        return self.starts_at <= clock < self.ends_at


class InForce(NamedTuple):
    """A version of a rule."""

    rule: Rule
    version: int


class Circumstances(NamedTuple):
    """What a decision about a track is made by, beside the track: its rule, the silences that count now, and the time."""

    rule: Rule
    silences: Mapping[str, Silence]
    moment: Moment


def alert_id(track: Track, first: Place | None, cause: Place | None, clock: int) -> str:
    """The id of the incident that a record, or a timer at `clock`, begins."""
    place = "" if first is None else f"{first.topic}/{first.partition}/{first.offset}"
    began = place if first is not None and first == cause else f"{place}@{clock}"
    return str(uuid5(NAMESPACE, "\n".join((track.rule_id, track.mode, track.home, track.group, began))))
