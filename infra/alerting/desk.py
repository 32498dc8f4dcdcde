"""What an operator asks about rules and alerts, and has done: the same for the command line and for HTTP."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any
from uuid import uuid4

from connectors.alerting.port import By
from connectors.command_writer import CommandWriter
from connectors.kafka_tail import KafkaTail
from connectors.ports import LogReader
from infra import compose
from infra.alerting.asking import TOPICS, Asking, Refused, Unknown
from infra.alerting.standing import Placed, Standing
from infra.deciders import codecs
from infra.settings import Settings
from schemas import contract as contracts
from schemas.alert_messages import (
    ALERTS,
    AcknowledgeAlert,
    AlertCommand,
    AlertCommandRefused,
    AlertCommandRepeated,
    AlertEvent,
    CommentAlert,
    SilenceAlert,
    UnsilenceAlert,
)
from schemas.log import TopicPartition
from schemas.messages import Command, Event, Messages
from schemas.rule_messages import (
    RULE_EVENTS,
    ApplyRules,
    CreateSilence,
    DisableRule,
    EndSilence,
    Matcher,
    RuleCommandRepeated,
    RuleMode,
    RuleRefused,
    WantedRule,
)
from schemas.rules.document import Rule, canonical
from streams.alerts import listing as alert_listing
from streams.rulebook import listing as rule_listing

FOREVER = 2**62
MOST_EVENTS = 200  # that answer one command
MOST_OVER = 10_000
"""Alerts that are over, of which a desk knows without reading the log anew: the newest."""


class Desk:
    """One for a process; for several threads. The first question reads what the log holds, each later one what has come
    since.

    All methods raise Away where broker or registry do not answer, those that give a command also Refused."""

    def __init__(self, settings: Settings, seconds: float = 10.0) -> None:
        self._settings, self._seconds = settings, seconds
        self._codecs: dict[str, Messages] | None = None
        self._asking: Asking | None = None
        self._lock = Lock()
        self._rules: Standing[_Rules] | None = None
        self._alerts: Standing[alert_listing.Alerts] | None = None

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for opened in (self._asking, self._rules, self._alerts):
            if opened is not None:
                opened.close()

    # --- rules --------------------------------------------------------------------------------------------------------

    def rules(self) -> rule_listing.Listing:
        with self._of_rules().now() as found:
            known = found.listing
            return rule_listing.Listing(dict(known.rules), dict(known.documents), dict(known.silences))

    def history(self, rule_id: str) -> list[Placed]:
        """All events of a rule, the oldest first.

        Raises:
            Unknown: there is none.
        """
        standing = self._of_rules()
        with standing.now() as known:
            offsets = list(known.offsets.get(rule_id, ()))
        if not offsets:
            raise Unknown(f"there is no rule {rule_id}")
        return standing.at(TopicPartition(RULE_EVENTS, 0), offsets)

    def apply(
        self, rules: Sequence[Rule], mode: RuleMode, by: By, expected: Sequence[int | None] | None = None
    ) -> list[Event]:
        """All of them, or none. `expected`: the newest version of each that is known."""
        versions = expected or [None] * len(rules)
        wanted = [
            WantedRule(rule_id=rule.id, document=canonical(rule).decode(), expected_version=version)
            for rule, version in zip(rules, versions, strict=True)
        ]
        return self._answers(ApplyRules(**_head(by), mode=mode, rules=tuple(wanted)))

    def disable(self, rule_id: str, mode: RuleMode | None, comment: str | None, by: By) -> list[Event]:
        return self._answers(DisableRule(**_head(by), rule_id=rule_id, mode=mode, comment=comment))

    def silence(self, silence_id: str, matchers: Sequence[Matcher], times: tuple[int, int], comment: str, by: By) -> Event:
        """`times`: from when until when, in microseconds."""
        starts, ends = times
        command = CreateSilence(
            **_head(by),
            silence_id=silence_id,
            matchers=tuple(matchers),
            starts_at=starts,
            ends_at=ends,
            comment=comment,
        )
        return self._answers(command)[0]

    def end_silence(self, silence_id: str, comment: str | None, by: By) -> Event:
        return self._answers(EndSilence(**_head(by), silence_id=silence_id, comment=comment))[0]

    # --- alerts -------------------------------------------------------------------------------------------------------

    @contextmanager
    def alerts(self) -> Iterator[Mapping[str, alert_listing.Alert]]:
        """Those that are open, and the newest MOST_OVER of the others; not to be kept beyond the block."""
        with self._of_alerts().now() as found:
            yield found.alerts

    def alert_events(self, alert_id: str, thorough: bool = False) -> list[Placed]:
        """The events of an alert, in their order. An unambiguous beginning of the id will do. `thorough`: where it is none
        of those that `alerts` gives, the whole log is looked through.

        Raises:
            Unknown: there is none, or there are several.
        """
        standing = self._of_alerts()
        with standing.now() as known:
            found = {one: list(places) for one, places in known.places.items() if one.startswith(alert_id)}
        if len(found) > 1:
            raise Unknown(f"{len(found)} alerts begin with {alert_id}")
        for places in found.values():
            return standing.at(TopicPartition(ALERTS, places[0][0]), [offset for _, offset in places])
        if not thorough:
            raise Unknown(
                f"there is no alert {alert_id} among those that are open and the newest {MOST_OVER:,} that are over"
            )
        return self._looked_for(alert_id)

    def _looked_for(self, alert_id: str) -> list[Placed]:
        found = [
            placed
            for placed in self._events(ALERTS)
            if isinstance(placed.event, AlertEvent) and placed.event.alert_id.startswith(alert_id)
        ]
        ids = {placed.event.alert_id for placed in found if isinstance(placed.event, AlertEvent)}
        if len(ids) != 1:
            raise Unknown(f"there is no alert {alert_id}" if not ids else f"{len(ids)} alerts begin with {alert_id}")
        return found

    def acknowledge(self, alert_id: str, comment: str | None, by: By) -> AlertEvent:
        return self._one(AcknowledgeAlert(**self._about(alert_id, by), comment=comment))

    def silence_alert(self, alert_id: str, until: int | None, comment: str | None, by: By) -> AlertEvent:
        return self._one(SilenceAlert(**self._about(alert_id, by), until=until, comment=comment))

    def unsilence_alert(self, alert_id: str, comment: str | None, by: By) -> AlertEvent:
        return self._one(UnsilenceAlert(**self._about(alert_id, by), comment=comment))

    def comment(self, alert_id: str, comment: str, by: By) -> AlertEvent:
        return self._one(CommentAlert(**self._about(alert_id, by), comment=comment))

    def _one(self, command: AlertCommand) -> AlertEvent:
        event = self._answers(command)[0]
        assert isinstance(event, AlertEvent)
        return event

    def _answers(self, command: Command) -> list[Event]:
        """The events that answer a command; of one that came before, those that did then."""
        events = self._ask().ask(command)
        match events[-1]:
            case RuleCommandRepeated(answer_offset=offset):
                first = max(0, offset - MOST_EVENTS)
                placed = self._of_rules().at(TopicPartition(RULE_EVENTS, 0), range(first, offset + 1))
                events = [one.event for one in placed if one.event.command_id == command.command_id]
            case AlertCommandRepeated(answer_event_id=event_id):
                events = [placed.event for placed in self._events(ALERTS) if placed.event.event_id == event_id]
        if isinstance(refusal := events[-1], RuleRefused | AlertCommandRefused):
            raise Refused(refusal)
        return events

    def _about(self, alert_id: str, by: By) -> dict[str, Any]:
        event = self.alert_events(alert_id)[0].event
        assert isinstance(event, AlertEvent)
        return {**_head(by), "alert_id": event.alert_id, "home_key": event.home_key}

    # --- the log ------------------------------------------------------------------------------------------------------

    def _events(self, topic: str) -> Iterator[Placed]:
        """All events of a topic, each partition in its order.

        Raises:
            Foreign: a record is no message of the topic's.
        """
        codec = self._all_codecs()[topic]
        reader = self._reader()
        try:
            for source, (low, high) in sorted(reader.bounds([topic]).items()):
                for batch in reader.read(source, low, high):
                    for offset, value in zip(batch.offsets, batch.values, strict=True):
                        event = codec.decode(value)
                        if isinstance(event, Event):
                            yield Placed(source, offset, event)
        finally:
            reader.close()

    def _reader(self) -> LogReader:
        return compose.log_reader(self._settings)

    def _of_rules(self) -> "Standing[_Rules]":
        codec = self._all_codecs()[RULE_EVENTS]
        with self._lock:
            self._rules = self._rules or Standing(RULE_EVENTS, self._reader, codec, _Rules(), _Rules.take)
            return self._rules

    def _of_alerts(self) -> Standing[alert_listing.Alerts]:
        codec = self._all_codecs()[ALERTS]
        with self._lock:
            made = alert_listing.Alerts(MOST_OVER)
            self._alerts = self._alerts or Standing(ALERTS, self._reader, codec, made, _take_alert)
            return self._alerts

    def _all_codecs(self) -> dict[str, Messages]:
        with self._lock:
            if self._codecs is None:
                self._codecs = codecs(contracts.load(), compose.registry(self._settings), TOPICS)
            return self._codecs

    def _ask(self) -> Asking:
        known = self._all_codecs()
        with self._lock:
            if self._asking is None:
                writer = CommandWriter(self._settings.kafka, known, self._seconds)
                self._asking = Asking(writer, KafkaTail(self._settings.kafka), known, self._seconds)
            return self._asking


class _Rules:
    """What fleet.rules says, and at which offsets it speaks of each rule."""

    def __init__(self) -> None:
        self.listing = rule_listing.Listing({}, {}, {})
        self.offsets: dict[str, list[int]] = {}

    def take(self, placed: Placed) -> None:
        rule_listing.take(self.listing, placed.event)
        rule_id = getattr(placed.event, "rule_id", None)
        if rule_id is not None:
            self.offsets.setdefault(rule_id, []).append(placed.offset)


def _take_alert(alerts: alert_listing.Alerts, placed: Placed) -> None:
    alerts.take(placed.event, (placed.source.partition, placed.offset))


def _head(by: By) -> dict[str, Any]:
    """What every command begins with."""
    identity = by.command_id or str(uuid4())
    return {
        "command_id": identity,
        "correlation_id": identity,
        "issued_at": time.time_ns() // 1000,
        "actor": by.actor[:160],
    }
