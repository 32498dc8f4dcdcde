"""Which rules' alerts keep others back: what the documents in force say (`inhibited_by`), read from fleet.rules."""

from collections.abc import Mapping, Sequence

import msgspec

from connectors.ports import LogReader
from schemas.alert_messages import AlertEvent
from schemas.messages import Messages
from schemas.rule_messages import RULE_EVENTS, RuleApplied
from schemas.rules.document import Inhibition, Rule
from streams.restoring import LostEvents

Inhibitions = Mapping[str, Sequence[Inhibition]]
"""By the id of the rule whose alerts are kept back."""


class RuleReader:
    """Reads on whenever it is asked."""

    def __init__(self, reader: LogReader, codec: Messages) -> None:
        self._reader, self._codec = reader, codec
        self._until = -1
        self._found: dict[str, Sequence[Inhibition]] = {}

    def known(self) -> Inhibitions:
        """By the newest live version of each rule that was applied until now.

        Raises:
            Away: the broker does not answer.
            LostEvents: a record can't be read.
        """
        for source, (first, end) in self._reader.bounds([RULE_EVENTS]).items():
            start = max(first, self._until)
            for batch in self._reader.read(source, start, end) if end > start else ():
                for offset, value in zip(batch.offsets, batch.values, strict=True):
                    try:
                        message = self._codec.decode(value)
                    except ValueError as error:
                        raise LostEvents(f"{source} at offset {offset}: {error}") from None
                    if isinstance(message, RuleApplied) and message.mode == "live":
                        rule = msgspec.json.decode(message.document, type=Rule)
                        self._found[message.rule_id] = rule.inhibited_by
            self._until = end
        return {rule: those for rule, those in self._found.items() if those}


def alike(one: AlertEvent, other: AlertEvent, names: Sequence[str]) -> bool:
    """Whether two alerts have the same of each label that is named; one that neither has is the same too."""
    first, second = labels_of(one), labels_of(other)
    return all(first.get(name, "") == second.get(name, "") for name in names)


def labels_of(event: AlertEvent) -> dict[str, str]:
    """By which silences match too."""
    found = msgspec.json.decode(event.labels, type=dict[str, str])
    return {**found, "device_id": event.device_id or "", "severity": event.severity, "group": event.group}
