"""Commands and events of alerts, as the avsc of the same name declare them (field docs are there)."""

from typing import Literal

import msgspec

from schemas.messages import Command, Event
from schemas.rule_messages import RuleMode

ALERT_COMMANDS = "fleet.alerts.commands"
ALERTS = "fleet.alerts"
ENGINE = "engine"
"""The actor of what nobody asked for."""

Severity = Literal["critical", "warning", "info"]
ResolutionReason = Literal["cleared", "no_data", "rule_changed", "rule_disabled", "rule_suspended", "out_of_scope"]


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the log."""

    topic: str
    partition: int
    offset: int


class AlertCommand(Command, frozen=True, kw_only=True):
    """What somebody wants of one alert."""

    alert_id: str
    home_key: str


class AcknowledgeAlert(AlertCommand, frozen=True, kw_only=True):
    """Somebody takes care of an alert: it is escalated no further."""

    comment: str | None


class SilenceAlert(AlertCommand, frozen=True, kw_only=True):
    """One alert is to notify nobody until a time, or until it is resolved."""

    until: int | None
    comment: str | None


class UnsilenceAlert(AlertCommand, frozen=True, kw_only=True):
    """One alert is to notify again."""

    comment: str | None


class CommentAlert(AlertCommand, frozen=True, kw_only=True):
    """A remark on an alert."""

    comment: str


class AlertEvent(Event, frozen=True, kw_only=True):
    """What every event of an alert says."""

    alert_id: str
    home_key: str
    number: int
    rule_id: str
    rule_version: int
    device_id: str | None
    group: str
    severity: Severity
    labels: str
    annotations: str
    value: float | None
    cause: Cause | None
    mode: RuleMode
    channels: tuple[str, ...]
    muted_by: str | None
    since: int


class AlertPending(AlertEvent, frozen=True, kw_only=True):
    """A rule's condition holds, but not for long or often enough yet."""

    due_at: int | None


class AlertFired(AlertEvent, frozen=True, kw_only=True):
    """An alert: a rule's condition has held for long and often enough."""


class AlertAcknowledged(AlertEvent, frozen=True, kw_only=True):
    """Somebody takes care of an alert."""

    comment: str | None


class AlertEscalated(AlertEvent, frozen=True, kw_only=True):
    """Nobody took care of an alert in time: it goes to the next level."""

    level: int


class AlertRepeated(AlertEvent, frozen=True, kw_only=True):
    """An alert is still there: it is notified of again."""

    repeat: int


class AlertFlapping(AlertEvent, frozen=True, kw_only=True):
    """An alert has come and gone too often to be notified of each time; or it has become calm again."""

    flapping: bool
    changes: int
    window: int


class AlertSilenced(AlertEvent, frozen=True, kw_only=True):
    """Nobody is notified of an alert for a time."""

    silence_id: str | None
    until: int | None
    comment: str | None


class AlertUnsilenced(AlertEvent, frozen=True, kw_only=True):
    """An alert is notified of again."""

    silence_id: str | None
    comment: str | None


class AlertCommented(AlertEvent, frozen=True, kw_only=True):
    """A remark on an alert."""

    comment: str


class AlertResolved(AlertEvent, frozen=True, kw_only=True):
    """An alert is over."""

    reason: ResolutionReason
    fired_at: int | None


class AlertCommandRefused(Event, frozen=True, kw_only=True):
    """A command about an alert was refused; nothing changed."""

    alert_id: str
    home_key: str
    command: str
    code: str
    detail: str


class AlertCommandRepeated(Event, frozen=True, kw_only=True):
    """A command about an alert came again and is answered as the first time."""

    alert_id: str
    home_key: str
    answer_event_id: str
