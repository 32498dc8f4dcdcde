"""Commands and events of rules and silences, as the avsc of the same name declare them (field docs are there)."""

from typing import Literal

import msgspec

from schemas.messages import Command, Event

RULE_COMMANDS = "fleet.rules.commands"
RULE_EVENTS = "fleet.rules"
RULE_BOOK = "rules"
"""The key of all records of the two topics: rules and silences are decided together, so that several change at once."""

RuleMode = Literal["live", "shadow"]
SuspensionReason = Literal["failing", "over_budget"]
MatchKind = Literal["equal", "not_equal", "glob", "not_glob"]


class WantedRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule document."""

    rule_id: str
    document: str
    expected_version: int | None


class Matcher(msgspec.Struct, frozen=True, kw_only=True):
    """A condition on one label of an alert."""

    name: str
    match: MatchKind
    value: str


class ApplyRules(Command, frozen=True, kw_only=True):
    """One or several rules are to be in force as these documents say: all of them, or none."""

    mode: RuleMode
    rules: tuple[WantedRule, ...]


class DisableRule(Command, frozen=True, kw_only=True):
    """A rule is to be evaluated no more, until it is applied again."""

    rule_id: str
    mode: RuleMode | None
    comment: str | None


class SuspendRule(Command, frozen=True, kw_only=True):
    """A rule keeps failing, or takes more than its budget: it is to be evaluated no more, until it is applied again."""

    rule_id: str
    version: int
    mode: RuleMode
    reason: SuspensionReason
    detail: str


class CreateSilence(Command, frozen=True, kw_only=True):
    """Alerts that match are to notify nobody for a time."""

    silence_id: str
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    comment: str


class EndSilence(Command, frozen=True, kw_only=True):
    """A silence is to end now."""

    silence_id: str
    comment: str | None


class RuleApplied(Event, frozen=True, kw_only=True):
    """A version of a rule is in force."""

    rule_id: str
    version: int
    digest: bytes
    document: str
    mode: RuleMode


class RuleUnchanged(Event, frozen=True, kw_only=True):
    """What a command wants is so already; nothing changed."""

    rule_id: str
    version: int
    mode: RuleMode


class RuleDisabled(Event, frozen=True, kw_only=True):
    """A rule is evaluated no more in this mode; its open alerts are resolved."""

    rule_id: str
    version: int
    mode: RuleMode
    comment: str | None


class RuleSuspended(Event, frozen=True, kw_only=True):
    """A rule is evaluated no more in this mode, as it keeps failing or takes more than its budget."""

    rule_id: str
    version: int
    mode: RuleMode
    reason: SuspensionReason
    detail: str


class SilenceCreated(Event, frozen=True, kw_only=True):
    """Alerts that match notify nobody for a time."""

    silence_id: str
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    comment: str


class SilenceEnded(Event, frozen=True, kw_only=True):
    """A silence has ended before its time."""

    silence_id: str
    comment: str | None


class RuleRefused(Event, frozen=True, kw_only=True):
    """A command about rules or silences was refused, the whole of it; nothing changed."""

    command: str
    rule_id: str | None
    code: str
    detail: str


class RuleCommandRepeated(Event, frozen=True, kw_only=True):
    """A command about rules or silences came again and is answered as the first time."""

    answer_offset: int
