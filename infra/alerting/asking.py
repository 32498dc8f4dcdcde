"""Commands to the log, and the events that answer them, for processes that ask seldom: one question at a time waits for its
answer in its own thread."""

import threading
import time
from collections.abc import Mapping, Sequence

import msgspec

from connectors.command_writer import CommandWriter
from connectors.event_tail import EventTail, Tailed
from connectors.ports import Away
from schemas.alert_messages import ALERT_COMMANDS, ALERTS, AlertCommand, AlertCommandRefused
from schemas.contract import load
from schemas.messages import Command, Event, Foreign, Messages
from schemas.rule_messages import (
    RULE_BOOK,
    RULE_COMMANDS,
    RULE_EVENTS,
    ApplyRules,
    RuleApplied,
    RuleDisabled,
    RuleRefused,
    RuleUnchanged,
)
from schemas.shape import shape_of, violations

TOPICS = (RULE_COMMANDS, RULE_EVENTS, ALERT_COMMANDS, ALERTS)
START_SECONDS = 15.0


class Refused(Exception):
    """A command was refused: `code` and `detail` as the event says them."""

    def __init__(self, event: RuleRefused | AlertCommandRefused) -> None:
        super().__init__(f"{event.detail} ({event.code})")
        self.event, self.code, self.detail = event, event.code, event.detail


class Unknown(Exception):
    """There is no such rule, alert or silence."""


class Invalid(ValueError):
    """A command that the contract does not let be: `faults` name the fields."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(faults))


class Asking:
    """For several threads."""

    def __init__(
        self, writer: CommandWriter, tail: EventTail, codecs: Mapping[str, Messages], seconds: float = 10.0
    ) -> None:
        """`codecs` are of `TOPICS`; `seconds`: how long a command waits for its answer."""
        self._writer, self._tail, self._codecs, self._seconds = writer, tail, codecs, seconds
        self._waiting: dict[str, list[Event]] = {}
        self._heard = threading.Condition()
        self._writing = threading.Lock()
        self._started = False

    def start(self) -> None:
        """Begin to follow the answers. Returns at once; commands wait until they are followed."""
        if not self._started:
            self._started = True
            self._tail.start((RULE_EVENTS, ALERTS), self._take)

    def ask(self, command: Command) -> list[Event]:
        """The events that answer a command.

        Raises:
            Invalid: a field is outside its bounds; nothing was written.
            Refused: it was refused.
            Away: broker or registry do not answer, or nobody has decided in time; the command may be decided later.
        """
        _check(command)
        self.start()
        self._until_followed()
        topic, key = (ALERT_COMMANDS, command.home_key) if isinstance(command, AlertCommand) else (RULE_COMMANDS, RULE_BOOK)
        events: list[Event] = []
        with self._heard:
            self._waiting[command.command_id] = events
        try:
            with self._writing:
                self._writer.write(topic, key, command)
            with self._heard:
                if not self._heard.wait_for(lambda: _complete(command, events), self._seconds):
                    who = "the rules engine" if topic == ALERT_COMMANDS else "the decider of rules"
                    raise Away(f"{who} has not answered in {self._seconds:g} s; is a worker running?")
        finally:
            with self._heard:
                del self._waiting[command.command_id]
        if isinstance(refusal := events[-1], RuleRefused | AlertCommandRefused):
            raise Refused(refusal)
        return events

    def close(self) -> None:
        if self._started:
            self._tail.close()

    def _until_followed(self) -> None:
        until = time.monotonic() + START_SECONDS
        while self._tail.away:
            if time.monotonic() > until:
                raise Away(self._tail.away)
            time.sleep(0.01)

    def _take(self, records: Sequence[Tailed]) -> None:
        with self._heard:
            for record in records:
                if self._waiting and (event := self._event(record)) is not None:
                    waiting = self._waiting.get(event.command_id)
                    if waiting is not None:
                        waiting.append(event)
            self._heard.notify_all()

    def _event(self, record: Tailed) -> Event | None:
        try:
            message = self._codecs[record.source.topic].decode(record.value)
        except Foreign:
            return None  # nobody's answer; whoever folds the topic tells of it
        return message if isinstance(message, Event) else None


def _check(command: Command) -> None:
    values = msgspec.to_builtins(command, builtin_types=(bytes,))
    faults = list(violations(shape_of(load().records[type(command).__name__].schema), values, ""))
    if faults:
        raise Invalid([f"{path}: {fault}" for path, fault in faults])


def _complete(command: Command, events: Sequence[Event]) -> bool:
    """A command about several rules has an answer for each, unless it was refused."""
    if not isinstance(command, ApplyRules):
        return bool(events)
    told = [event for event in events if isinstance(event, RuleApplied | RuleUnchanged)]
    return len(told) == len(command.rules) or (
        bool(events) and not isinstance(events[-1], RuleApplied | RuleUnchanged | RuleDisabled)
    )
