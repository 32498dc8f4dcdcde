"""What devices upload becomes events in the log, each once."""

import time
from typing import Any

from confluent_kafka import KafkaError, Message

from connectors.ingress.delivery import Wait, broker_away, refused_by_broker
from connectors.ingress.event import Envelope, EventKind
from connectors.ingress.http import Fault
from connectors.ingress.identifiers import EventIds
from connectors.ingress.ledger import Ledger, Receipt, packed
from connectors.ingress.options import Header, Producer
from connectors.ports import Away


class Pending:
    """An upload that was handed to the producer. `outcome` is set when the broker has answered."""

    __slots__ = ("_uploads", "_waits", "content", "event_id", "key", "outcome")

    def __init__(self, uploads: "Uploads", key: bytes, event_id: bytes, content: int, wait: Wait) -> None:
        self._uploads, self.key, self.event_id, self.content = uploads, key, event_id, content
        self._waits: Wait | list[Wait] = wait  # a list only when a retry came while it was on its way
        self.outcome: Receipt | Fault | None = None

    def join(self, wait: Wait) -> None:
        wait.expect()
        self._waits = [*self._waits, wait] if isinstance(self._waits, list) else [self._waits, wait]

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """The producer's report."""
        if error is None:
            self.outcome = Receipt(self.event_id, message.partition(), message.offset(), self.content)
        else:
            self.outcome = refused_by_broker(error)
        self._uploads.settled(self)
        if isinstance(self._waits, list):
            for wait in self._waits:
                wait.settle()
        else:
            self._waits.settle()


Outcome = Pending | Receipt | Fault


class Uploads:
    """Accepts uploads of one kind: once each, however often and however concurrently they are sent."""

    def __init__(self, kind: EventKind, ledger: Ledger, producer: Producer, ids: EventIds) -> None:
        self.kind, self._ledger, self._producer, self._ids = kind, ledger, producer, ids
        self._pending: dict[bytes, Pending] = {}
        self._schema_id: int | None = None
        self.accepted = self.repeated = self.refused = 0

    def open(self, schema_id: int) -> None:
        """The events' schema id is known: uploads may come."""
        self._schema_id = schema_id

    def envelope(self, device_id: str, headers: list[Header]) -> Envelope:
        """For the uploads of one request.

        Raises:
            Fault: 503, before the ingress is ready.
        """
        if self._schema_id is None:
            raise Fault(503, "NOT_READY", "the ingress is starting and has not read the log yet", retry_after=1)
        return Envelope(self._schema_id, device_id, time.time_ns() // 1000, headers)

    def submit(self, values: dict[str, Any], envelope: Envelope, wait: Wait) -> Outcome:
        """Accept one upload: `values` without the fields that the server fills in.

        Returns what is known: the receipt of an upload that was accepted before, a fault, or a Pending, which `wait`
        was made to wait for.
        """
        kind = self.kind
        values["device_id"] = envelope.device_id
        key, rest = kind.ledger_key(values), kind.encode_rest(values)
        content = kind.content(values, rest)
        known = self._pending.get(key) or self._ledger.find(key)
        if known is not None:
            return self._again(known, content, wait)
        event_id, text = self._ids.next()
        pending = Pending(self, key, event_id, content, wait)
        value = envelope.value(text, values["occurred_at"], rest)
        try:
            self._producer.send(kind.topic, values[kind.key].encode(), value, envelope.headers, pending.delivered)
        except Away as away:
            return broker_away(str(away))
        except ValueError as too_large:
            return Fault(413, "RECORD_TOO_LARGE", str(too_large))
        self._pending[key] = pending
        wait.expect()
        return pending

    def settled(self, pending: Pending) -> None:
        """The broker has answered: remember a receipt; a record that was not written may be sent again."""
        del self._pending[pending.key]
        outcome = pending.outcome
        if isinstance(outcome, Receipt):
            self._ledger.add(pending.key, packed(outcome))
            self.accepted += 1
        else:
            self.refused += 1

    def _again(self, known: Pending | Receipt, content: int, wait: Wait) -> Outcome:
        if known.content != content:
            names = [name for name in self.kind.identity if name != "device_id"]
            detail = f"a record with the same {' and '.join(names)} and different content was accepted before"
            return Fault(
                409, "DIFFERENT_CONTENT", detail, [(f"$.{name}", "was used with different content") for name in names]
            )
        self.repeated += 1
        if isinstance(known, Pending):
            known.join(wait)
        return known
