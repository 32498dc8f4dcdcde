"""Commands about rules and silences, decided one after the other by the aggregate machine."""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import msgspec

from connectors.memory_registry import MemoryRegistry
from schemas.contract import load
from schemas.message_types import message_types
from schemas.messages import Command, Event, Messages
from schemas.rule_messages import (
    RULE_BOOK,
    RULE_COMMANDS,
    RULE_EVENTS,
    ApplyRules,
    CreateSilence,
    DisableRule,
    EndSilence,
    Matcher,
    RuleMode,
    SuspendRule,
    WantedRule,
)
from schemas.rules.document import Rule, canonical
from streams.aggregates import Aggregates
from streams.machine import Keyed
from streams.rulebook.definition import RULE_BOOK_DECIDER

SECOND = 1_000_000
DAY = 86_400 * SECOND
T = 1_795_302_000 * SECOND
CONTRACT = load()
ANY = (Matcher(name="severity", match="glob", value="*"),)


def document(rule_id: str = "hot", **fields: Any) -> str:
    rule = msgspec.convert({"id": rule_id, "input": "telemetry", "when": "temperature > 100.0", **fields}, Rule)
    return canonical(rule).decode()


def wanted(rule_id: str = "hot", expected: int | None = None, **fields: Any) -> WantedRule:
    return WantedRule(rule_id=rule_id, document=document(rule_id, **fields), expected_version=expected)


class Book:
    """`events` is the log."""

    def __init__(self) -> None:
        self.machine = Aggregates(RULE_BOOK_DECIDER, self._recall)
        self.now, self.given = T, 0
        self.events: list[Event] = []
        registry = MemoryRegistry()
        self.codecs = {
            name: Messages(CONTRACT.topics[name], message_types(CONTRACT.topics[name]), registry.register, registry.schema)
            for name in (RULE_COMMANDS, RULE_EVENTS)
        }

    def _recall(self, first: int, last: int) -> Sequence[Event]:
        return self.events[first : last + 1]

    def head(self) -> dict[str, Any]:
        self.given += 1
        identity = str(uuid5(NAMESPACE_OID, str(self.given)))
        return {"command_id": identity, "correlation_id": identity, "actor": "owner", "issued_at": self.now}

    def give(self, command: Command) -> list[Any]:
        """As the log would have it: what goes in and what comes out can be written."""
        codec = self.codecs[RULE_COMMANDS]
        assert codec.decode(codec.encode(command)) == command
        records = self.machine.work([Keyed(RULE_BOOK, command)])
        events: list[Any] = []
        for record in records:
            assert (record.topic, record.key) == (RULE_EVENTS, RULE_BOOK)
            assert isinstance(record.message, Event)
            events.append(record.message)
        written = self.codecs[RULE_EVENTS]
        assert [written.decode(written.encode(event)) for event in events] == events
        start = len(self.events)
        self.events += events
        self.machine.keep(range(start, len(self.events)))
        return events

    def apply(self, *rules: WantedRule, mode: RuleMode = "live") -> list[Any]:
        return self.give(ApplyRules(**self.head(), mode=mode, rules=rules))

    def disable(self, rule_id: str = "hot", mode: RuleMode | None = None) -> list[Any]:
        return self.give(DisableRule(**self.head(), rule_id=rule_id, mode=mode, comment=None))

    def suspend(self, rule_id: str = "hot", version: int = 1, mode: RuleMode = "live") -> list[Any]:
        about = {"rule_id": rule_id, "version": version, "mode": mode, "detail": "no such overload"}
        return self.give(SuspendRule(**self.head(), **about, reason="failing"))  # type: ignore[arg-type]

    def silence(self, name: str, start: int, end: int, matchers: tuple[Matcher, ...] = ANY) -> list[Any]:
        times = {"starts_at": self.now + start, "ends_at": self.now + end}
        return self.give(CreateSilence(**self.head(), silence_id=name, matchers=matchers, **times, comment="planned"))

    def end_silence(self, name: str) -> list[Any]:
        return self.give(EndSilence(**self.head(), silence_id=name, comment=None))


def names(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]
