"""A lifecycle that is told things, with words for the tests."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal, cast
from uuid import NAMESPACE_OID, uuid5

import msgspec

from schemas.alert_messages import (
    AcknowledgeAlert,
    AlertCommand,
    AlertEvent,
    AlertResolved,
    CommentAlert,
    SilenceAlert,
    UnsilenceAlert,
)
from schemas.messages import Event
from schemas.rule_messages import Matcher, RuleApplied, RuleDisabled, RuleMode, SilenceCreated, SilenceEnded
from schemas.rules.document import Rule, canonical
from streams.alerts.lifecycle import AlertLifecycle
from streams.rules.ports import Evaluator, Moment, Place, Signal

SECOND = 1_000_000
MINUTE = 60 * SECOND
T = 1_795_302_000 * SECOND
NO_EVALUATOR = cast(Evaluator, None)
"""The lifecycle asks an evaluator nothing."""


def annotate(rule: Rule, fields: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: text.replace("{{ value }}", str(fields["value"])) for name, text in rule.annotations.items()}


def ident(name: object) -> str:
    return str(uuid5(NAMESPACE_OID, str(name)))


def rule_of(rule_id: str = "hot", **fields: Any) -> Rule:
    document = {"id": rule_id, "input": "telemetry", "when": "temperature > 100.0", **fields}
    return msgspec.convert(document, Rule)


class Stage:
    """Time goes on by `wait`; everything that is said is kept in `said`."""

    def __init__(self) -> None:
        self.lifecycle = AlertLifecycle(annotate)
        self.now, self.offset = T, 0
        self.said: list[Event] = []
        self.homes: list[str] = []

    def head(self, name: str) -> dict[str, Any]:
        identity = ident(f"{name} {self.offset} {self.now}")
        return {
            "event_id": identity,
            "command_id": identity,
            "correlation_id": identity,
            "actor": "owner",
            "occurred_at": self.now,
            "received_at": self.now,
        }

    @property
    def moment(self) -> Moment:
        return Moment(self.now, self.now)

    def _keep(self, said: Sequence[tuple[str, Event]]) -> list[Any]:
        self.said += [event for _, event in said]
        self.homes += [home for home, _ in said]
        return [event for _, event in said]

    def apply(self, rule: Rule, mode: RuleMode = "live", version: int = 1) -> list[Any]:
        document = canonical(rule)
        digest = sha256(document).digest()
        head = self.head("apply")
        applied = RuleApplied(**head, rule_id=rule.id, version=version, digest=digest, document=document.decode(), mode=mode)
        return self._keep(self.lifecycle.rule(applied, self.moment))

    def disable(self, rule_id: str, mode: RuleMode = "live") -> list[Any]:
        event = RuleDisabled(**self.head("disable"), rule_id=rule_id, version=1, mode=mode, comment=None)
        return self._keep(self.lifecycle.rule(event, self.moment))

    def silence(self, name: str, start: int, end: int, *matchers: Matcher) -> list[Any]:
        """`start` and `end` in microseconds from now."""
        event = SilenceCreated(
            **self.head("silence"),
            silence_id=name,
            matchers=matchers,
            starts_at=self.now + start,
            ends_at=self.now + end,
            comment="planned",
        )
        return self._keep(self.lifecycle.rule(event, self.moment))

    def end_silence(self, name: str) -> list[Any]:
        return self._keep(self.lifecycle.rule(SilenceEnded(**self.head("end"), silence_id=name, comment=None), self.moment))

    def signal(
        self,
        kind: Literal["pending", "fired", "lapsed", "resolved"],
        home: str = "d1",
        rule_id: str = "hot",
        first: int | None = None,
        **more: Any,
    ) -> list[Any]:
        """`first` is the offset of the record that it began with, by default this one's; `more`: group, value, mode."""
        group, value, mode = more.get("group", ""), more.get("value", 101.0), more.get("mode", "live")
        self.offset += 1
        place = Place("fleet.telemetry", 0, self.offset)
        began = place if first is None else Place("fleet.telemetry", 0, first)
        moment = Moment(self.now - SECOND, self.now)
        told = Signal(kind, "cleared", rule_id, home, group, began, place, value, moment, {"temperature": value})
        return self._keep(self.lifecycle.signal(told, NO_EVALUATOR, mode))

    def wait(self, micros: int) -> list[Any]:
        """As the engine does it: whatever is due until then happens at its time."""
        self.now += micros
        found: list[Any] = []
        while (due := self.lifecycle.due()) is not None and due <= self.now:
            found += self._keep(self.lifecycle.tick(Moment(due, self.now)))
        return found

    def ask(self, kind: type[AlertCommand], alert_id: str, home: str = "d1", name: object = None, **fields: Any) -> Any:
        """The only event that answers. `name`: two commands of one name are the same one, coming again."""
        self.offset += 1
        identity = ident(self.offset if name is None else name)
        about = {"command_id": identity, "correlation_id": identity, "actor": "owner", "issued_at": self.now}
        command = kind(**about, alert_id=alert_id, home_key=home, **fields)
        (event,) = self._keep(
            self.lifecycle.command(home, command, Place("fleet.alerts.commands", 0, self.offset), self.moment)
        )
        return event

    def acknowledge(self, alert_id: str, home: str = "d1", name: object = None) -> Any:
        return self.ask(AcknowledgeAlert, alert_id, home, name, comment=None)

    def silence_one(self, alert_id: str, until: int | None = None, home: str = "d1") -> Any:
        at = None if until is None else self.now + until
        return self.ask(SilenceAlert, alert_id, home, until=at, comment="later")

    def unsilence(self, alert_id: str, home: str = "d1") -> Any:
        return self.ask(UnsilenceAlert, alert_id, home, comment=None)

    def comment(self, alert_id: str, home: str = "d1") -> Any:
        return self.ask(CommentAlert, alert_id, home, comment="looked at it")

    def again(self) -> None:
        """Snapshot, and go on from it."""
        data = self.lifecycle.snapshot()
        self.lifecycle = AlertLifecycle(annotate)
        self.lifecycle.restore(data)
        assert self.lifecycle.snapshot() == data


def names(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def told(events: Sequence[Event]) -> list[str]:
    """What somebody is notified of."""
    return [type(event).__name__ for event in events if isinstance(event, AlertEvent) and event.muted_by is None]


def open_alerts(events: Sequence[Event]) -> set[str]:
    over = {event.alert_id for event in events if isinstance(event, AlertResolved)}
    return {event.alert_id for event in events if isinstance(event, AlertEvent)} - over
