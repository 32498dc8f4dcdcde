"""What an operator asks about rules and alerts, and has done: the same for the command line and for HTTP."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from connectors.command_writer import CommandWriter
from connectors.kafka_tail import KafkaTail
from connectors.ports import LogReader
from infra import compose
from infra.alerting.asking import TOPICS, Asking, Unknown
from infra.deciders import codecs
from infra.settings import Settings
from schemas import contract as contracts
from schemas.alert_messages import (
    ALERTS,
    AcknowledgeAlert,
    AlertCommand,
    AlertEvent,
    CommentAlert,
    SilenceAlert,
    UnsilenceAlert,
)
from schemas.log import TopicPartition
from schemas.messages import Event, Messages
from schemas.rule_messages import (
    RULE_EVENTS,
    ApplyRules,
    CreateSilence,
    DisableRule,
    EndSilence,
    Matcher,
    RuleMode,
    WantedRule,
)
from schemas.rules.document import Rule, canonical
from streams.alerts import listing as alert_listing
from streams.rulebook import listing as rule_listing

FOREVER = 2**62


class Placed(NamedTuple):
    """An event and where it is in the log."""

    source: TopicPartition
    offset: int
    event: Event

    @property
    def place(self) -> str:
        return f"{self.source.topic}/{self.source.partition}/{self.offset}"


class Desk:
    """One for a process; for several threads. What is asked is read from the log each time.

    All methods raise Away where broker or registry do not answer, those that give a command also Refused."""

    def __init__(self, settings: Settings, seconds: float = 10.0) -> None:
        self._settings, self._seconds = settings, seconds
        self._codecs: dict[str, Messages] | None = None
        self._asking: Asking | None = None

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._asking is not None:
            self._asking.close()

    # --- rules --------------------------------------------------------------------------------------------------------

    def rules(self) -> rule_listing.Listing:
        return rule_listing.listed(placed.event for placed in self.events(RULE_EVENTS))

    def history(self, rule_id: str) -> list[Placed]:
        """All events of a rule, the oldest first.

        Raises:
            Unknown: there is none.
        """
        found = [placed for placed in self.events(RULE_EVENTS) if getattr(placed.event, "rule_id", None) == rule_id]
        if not found:
            raise Unknown(f"there is no rule {rule_id}")
        return found

    def apply(
        self, rules: Sequence[Rule], mode: RuleMode, actor: str, expected: Sequence[int | None] | None = None
    ) -> list[Event]:
        """All of them, or none. `expected`: the newest version of each that is known."""
        versions = expected or [None] * len(rules)
        wanted = [
            WantedRule(rule_id=rule.id, document=canonical(rule).decode(), expected_version=version)
            for rule, version in zip(rules, versions, strict=True)
        ]
        return self._ask().ask(ApplyRules(**_head(actor), mode=mode, rules=tuple(wanted)))

    def disable(self, rule_id: str, mode: RuleMode | None, comment: str | None, actor: str) -> list[Event]:
        return self._ask().ask(DisableRule(**_head(actor), rule_id=rule_id, mode=mode, comment=comment))

    def silence(
        self, silence_id: str, matchers: Sequence[Matcher], times: tuple[int, int], comment: str, actor: str
    ) -> Event:
        """`times`: from when until when, in microseconds."""
        starts, ends = times
        command = CreateSilence(
            **_head(actor),
            silence_id=silence_id,
            matchers=tuple(matchers),
            starts_at=starts,
            ends_at=ends,
            comment=comment,
        )
        return self._ask().ask(command)[0]

    def end_silence(self, silence_id: str, comment: str | None, actor: str) -> Event:
        return self._ask().ask(EndSilence(**_head(actor), silence_id=silence_id, comment=comment))[0]

    # --- alerts -------------------------------------------------------------------------------------------------------

    def alerts(self) -> dict[str, alert_listing.Alert]:
        return alert_listing.listed(placed.event for placed in self.events(ALERTS))

    def alert_events(self, alert_id: str) -> list[Placed]:
        """The events of an alert, in their order. An unambiguous beginning of the id will do.

        Raises:
            Unknown: there is none, or there are several.
        """
        found = [
            placed
            for placed in self.events(ALERTS)
            if isinstance(placed.event, AlertEvent) and placed.event.alert_id.startswith(alert_id)
        ]
        ids = {placed.event.alert_id for placed in found if isinstance(placed.event, AlertEvent)}
        if len(ids) != 1:
            raise Unknown(f"there is no alert {alert_id}" if not ids else f"{len(ids)} alerts begin with {alert_id}")
        return found

    def acknowledge(self, alert_id: str, comment: str | None, actor: str) -> AlertEvent:
        return self._one(AcknowledgeAlert(**self._about(alert_id, actor), comment=comment))

    def silence_alert(self, alert_id: str, until: int | None, comment: str | None, actor: str) -> AlertEvent:
        return self._one(SilenceAlert(**self._about(alert_id, actor), until=until, comment=comment))

    def unsilence_alert(self, alert_id: str, comment: str | None, actor: str) -> AlertEvent:
        return self._one(UnsilenceAlert(**self._about(alert_id, actor), comment=comment))

    def comment(self, alert_id: str, comment: str, actor: str) -> AlertEvent:
        return self._one(CommentAlert(**self._about(alert_id, actor), comment=comment))

    def _one(self, command: AlertCommand) -> AlertEvent:
        event = self._ask().ask(command)[0]
        assert isinstance(event, AlertEvent)
        return event

    def _about(self, alert_id: str, actor: str) -> dict[str, Any]:
        event = self.alert_events(alert_id)[0].event
        assert isinstance(event, AlertEvent)
        return {**_head(actor), "alert_id": event.alert_id, "home_key": event.home_key}

    # --- the log ------------------------------------------------------------------------------------------------------

    def events(self, topic: str) -> Iterator[Placed]:
        """All events of a topic, each partition in its order.

        Raises:
            Foreign: a record is no message of the topic's.
        """
        codec = self._all_codecs()[topic]
        reader: LogReader = compose.log_reader(self._settings)
        try:
            for source, (low, high) in sorted(reader.bounds([topic]).items()):
                for batch in reader.read(source, low, high):
                    for offset, value in zip(batch.offsets, batch.values, strict=True):
                        event = codec.decode(value)
                        if isinstance(event, Event):
                            yield Placed(source, offset, event)
        finally:
            reader.close()

    def _all_codecs(self) -> dict[str, Messages]:
        if self._codecs is None:
            self._codecs = codecs(contracts.load(), compose.registry(self._settings), TOPICS)
        return self._codecs

    def _ask(self) -> Asking:
        if self._asking is None:
            known = self._all_codecs()
            writer = CommandWriter(self._settings.kafka, known, self._seconds)
            self._asking = Asking(writer, KafkaTail(self._settings.kafka), known, self._seconds)
        return self._asking


def _head(actor: str) -> dict[str, Any]:
    """What every command begins with."""
    identity = str(uuid4())
    return {"command_id": identity, "correlation_id": identity, "issued_at": time.time_ns() // 1000, "actor": actor[:160]}
