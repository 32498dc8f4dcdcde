"""The documents of rules and alerts over HTTP."""

from typing import Any, Literal

import msgspec


class RuleAnswer(msgspec.Struct):
    """The newest version of a rule in one mode."""

    rule_id: str
    mode: Literal["live", "shadow"]
    version: int
    state: Literal["in_force", "disabled", "suspended"]
    since: str
    actor: str
    document: dict[str, Any]
    detail: str | None = None


class RuleList(msgspec.Struct):
    """A page of a list; `next`: the address of the following one, null where there is none."""

    rules: list[RuleAnswer]
    next: str | None


class RuleVersion(msgspec.Struct):
    """A rule's document of one version, and how it stands in each mode that it has."""

    rule_id: str
    version: int
    document: dict[str, Any]
    standing: list[RuleAnswer]


class Happened(msgspec.Struct):
    """An event, with its own fields beside these; `position` is TOPIC/PARTITION/OFFSET."""

    event: str
    at: str
    actor: str
    position: str | None = None


class RuleChanged(msgspec.Struct):
    """`changed`: whether anything is otherwise than before."""

    changed: bool
    events: list[dict[str, Any]]


class RuleHistory(msgspec.Struct):
    """A page of a list; `next`: the address of the following one, null where there is none."""

    events: list[dict[str, Any]]
    next: str | None


class BacktestAnswer(msgspec.Struct):
    """What a rule would have done from `begins` until before `ends`, and how that differs from what was in force then."""

    begins: str
    ends: str
    incidents: int
    open: int
    notifications: int
    flaps: int
    firing_seconds: float
    top: list[dict[str, Any]]
    difference: dict[str, Any]


class Remark(msgspec.Struct):
    at: str
    actor: str
    text: str


class AlertAnswer(msgspec.Struct):
    """An alert. Times are RFC 3339."""

    alert_id: str
    rule_id: str
    rule_version: int
    mode: Literal["live", "shadow"]
    home_key: str
    device_id: str | None
    group: str
    severity: Literal["critical", "warning", "info"]
    labels: dict[str, str]
    annotations: dict[str, str]
    value: float | None
    state: Literal["pending", "firing", "acknowledged", "resolved"]
    since: str
    fired_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    resolved_at: str | None
    reason: str | None
    level: int
    repeats: int
    flapping: bool
    silenced: list[str]
    comments: list[Remark]


class AlertList(msgspec.Struct):
    """A page of a list; `next`: the address of the following one, null where there is none."""

    alerts: list[AlertAnswer]
    next: str | None


class AlertWithEvents(AlertAnswer, kw_only=True):
    """An alert, and how it came to be what it is."""

    events: list[dict[str, Any]]


class AlertTold(msgspec.Struct):
    """The event that a command was answered with."""

    event: dict[str, Any]


class MatcherForm(msgspec.Struct, forbid_unknown_fields=True):
    """A condition on a label of an alert."""

    name: str
    match: Literal["equal", "not_equal", "glob", "not_glob"]
    value: str


class SilenceRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Alerts for which all matchers hold notify nobody from `starts_at` (by default now) until before `ends_at`."""

    matchers: list[MatcherForm]
    ends_at: str
    comment: str
    starts_at: str | None = None


class SilenceAnswer(msgspec.Struct):
    silence_id: str
    matchers: list[MatcherForm]
    starts_at: str
    ends_at: str
    comment: str
    actor: str
    state: Literal["pending", "active", "expired"]


class SilenceList(msgspec.Struct):
    """A page of a list; `next`: the address of the following one, null where there is none."""

    silences: list[SilenceAnswer]
    next: str | None


class AlertWord(msgspec.Struct, forbid_unknown_fields=True):
    """What is said of an alert; a comment needs one."""

    comment: str | None = None


class AlertSilence(msgspec.Struct, forbid_unknown_fields=True):
    """Until when the alert is silent; without, as long as it is open."""

    until: str | None = None
    comment: str | None = None


ALERTING_DOCUMENTS: tuple[type[msgspec.Struct], ...] = (
    *(RuleList, RuleVersion, RuleChanged, RuleHistory, BacktestAnswer, AlertList, AlertWithEvents, AlertTold),
    *(SilenceRequest, SilenceAnswer, SilenceList, AlertWord, AlertSilence),
)
