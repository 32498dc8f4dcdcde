"""Rule documents: what an operator writes, as a frozen type.

A document is YAML or JSON (which is YAML as far as this reader goes): `docs/rule.schema.json` is its JSON Schema, and
docs/rules.md explains each field. What is here is its form; whether its expressions and templates are right is for
`streams.rules.compiled`, which knows the records that they are about.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from schemas.rules.durations import DURATION_PATTERN, micros
from schemas.rules.maintenance import Maintenance

MOST_BYTES = 64 * 1024
"""A document's size."""
MOST_EXPRESSION = 8 * 1024
"""Characters of an expression."""

INPUTS = ("telemetry", "heartbeat", "device-event", "registration", "certificate", "system", "trend", "fleet")
Input = Literal["telemetry", "heartbeat", "device-event", "registration", "certificate", "system", "trend", "fleet"]
Severity = Literal["critical", "warning", "info"]
Name = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
RuleId = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,127}$", description="Lower-case letters, digits, . _ -")]
Expression = Annotated[str, Meta(min_length=1, max_length=MOST_EXPRESSION, description="CEL; see docs/rules.md.")]
Template = Annotated[str, Meta(max_length=4096, description="Text with {{ placeholders }}; see docs/rules.md.")]
Duration = Annotated[str, Meta(pattern=DURATION_PATTERN, description="Such as 500ms, 90s, 5m, 2h, 7d.")]
Text = Annotated[str, Meta(min_length=1, max_length=256)]
Path = Annotated[str, Meta(min_length=1, max_length=128)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A part of a document: no field but those that are named."""


class Scope(_Part, frozen=True):
    """Which devices a rule is about: those that all of this holds for; nothing said means all."""

    labels: Annotated[dict[Name, Text], Meta(max_length=32)] = {}
    models: Annotated[tuple[Text, ...], Meta(max_length=256)] = ()
    devices: Annotated[tuple[Text, ...], Meta(max_length=1024)] = ()

    def holds(self, device: str, model: str | None, labels: Mapping[str, str]) -> bool:
        return (
            (not self.devices or device in self.devices)
            and (not self.models or model in self.models)
            and all(labels.get(name) == value for name, value in self.labels.items())
        )


class NoData(_Part, frozen=True):
    """What silence means: after so long without a record the alert fires, is resolved, or stays as it is."""

    after: Duration
    then: Literal["alert", "ok", "keep"] = "alert"

    def __post_init__(self) -> None:
        micros(self.after)

    @property
    def after_micros(self) -> int:
        return micros(self.after)


class Measure(_Part, frozen=True):
    """One number of a fleet aggregate: how many rows `count` holds for, or the sum of `sum` where `where` holds."""

    count: Expression | None = None
    sum: Expression | None = None
    where: Expression | None = None

    def __post_init__(self) -> None:
        if (self.count is None) == (self.sum is None) or (self.where is not None and self.sum is None):
            raise ValueError("a measure has count, or sum with or without where")


class Aggregate(_Part, frozen=True):
    """What a rule of input `fleet` is about: measures of another input over a window, one row per group."""

    of: Literal["telemetry", "heartbeat", "device-event", "registration", "certificate", "system", "trend"]
    window: Duration
    measures: Annotated[dict[Name, Measure], Meta(min_length=1, max_length=16)]

    def __post_init__(self) -> None:
        micros(self.window)

    @property
    def window_micros(self) -> int:
        return micros(self.window)


class Escalation(_Part, frozen=True):
    """A step of an escalation chain: not acknowledged for so long after firing, these channels hear of it."""

    after: Duration
    channels: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=16)]

    def __post_init__(self) -> None:
        micros(self.after)

    @property
    def after_micros(self) -> int:
        return micros(self.after)


class Flapping(_Part, frozen=True):
    """An alert that fires this often within this time is flapping."""

    changes: Annotated[int, Meta(ge=2, le=1000)] = 5
    within: Duration = "10m"

    def __post_init__(self) -> None:
        micros(self.within)

    @property
    def within_micros(self) -> int:
        return micros(self.within)


class Inhibition(_Part, frozen=True):
    """While an alert of `rule` is there that has the same of each label in `equal`, nobody is told of this rule's."""

    rule: RuleId
    equal: Annotated[
        tuple[Text, ...], Meta(max_length=8, description="Labels, or device_id, severity, group; none: any alert of it.")
    ] = ("device_id",)


_RENAMED = {"hold": "for"}  # `for` is a word of Python's


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename=_RENAMED):
    """A rule. Durations are texts, as written; the properties give microseconds."""

    id: RuleId
    description: Annotated[str, Meta(max_length=1024)] = ""
    input: Input
    scope: Literal["all"] | Scope = "all"
    when: Expression
    clear: Expression | None = None
    hysteresis: Annotated[float, Meta(description="Clears only beyond this second threshold.")] | None = None
    hold: Duration = field(default="0s")
    keep_firing: Duration = "0s"
    repeat: Annotated[int, Meta(ge=1, le=1000, description="So many rows in a row have to raise it.")] = 1
    no_data: NoData | None = None
    severity: Severity = "warning"
    labels: Annotated[dict[Name, Text], Meta(max_length=32)] = {}
    annotations: Annotated[dict[Name, Template], Meta(max_length=16)] = {}
    group_by: Annotated[tuple[Path, ...], Meta(max_length=8)] = ()
    channels: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()
    repeat_every: Duration | None = None
    escalate: Annotated[tuple[Escalation, ...], Meta(max_length=8)] = ()
    flapping: Flapping | None = None
    maintenance: Annotated[tuple[Maintenance, ...], Meta(max_length=32)] = ()
    inhibited_by: Annotated[tuple[Inhibition, ...], Meta(max_length=16)] = ()
    aggregate: Aggregate | None = None

    def __post_init__(self) -> None:
        if self.clear is not None and self.hysteresis is not None:
            raise ValueError("clear and hysteresis exclude each other: a second threshold is a clear expression")
        if (self.input == "fleet") != (self.aggregate is not None):
            raise ValueError("a rule of input fleet has an aggregate, and no other rule has")
        if self.input == "fleet" and self.no_data is not None:
            raise ValueError("a rule of input fleet has no no_data: in a window of nothing its counts are 0")
        if any(inhibition.rule == self.id for inhibition in self.inhibited_by):
            raise ValueError("inhibited_by: a rule can't inhibit itself")
        for length in (self.hold, self.keep_firing, self.repeat_every):
            _ = length is None or micros(length)

    @property
    def hold_micros(self) -> int:
        """How long `when` must hold before the alert fires (`for`)."""
        return micros(self.hold)

    @property
    def keep_firing_micros(self) -> int:
        return micros(self.keep_firing)

    @property
    def repeat_every_micros(self) -> int | None:
        return None if self.repeat_every is None else micros(self.repeat_every)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document, in hexadecimal: equal digests mean equal rules."""
        return sha256(canonical(self)).hexdigest()

    def about(self, device: str, model: str | None, labels: Mapping[str, str]) -> bool:
        """Whether a device is in the rule's scope."""
        return self.scope == "all" or self.scope.holds(device, model, labels)


def canonical(rule: Rule) -> bytes:
    """The rule as JSON: keys sorted, defaults left out. It reads back as an equal rule."""
    return msgspec.json.encode(rule, order="sorted")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a document."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fleetlog rule",
        **msgspec.json.schema(Rule),
    }
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(schema))  # of JSON's own types alone
    return found
