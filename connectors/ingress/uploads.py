"""What devices upload becomes events in the log, each once."""

import time
from typing import Any

from confluent_kafka import KafkaError, Message

from connectors.http.request import Fault
from connectors.ingress.delivery import Wait, broker_away, overloaded, refused_by_broker
from connectors.ingress.event import Envelope, EventKind
from connectors.ingress.identifiers import EventIds
from connectors.ingress.ledger import Ledger, Receipt, packed
from connectors.ingress.options import Header, Producer
from connectors.ports import Away, Busy


class Pending:
    """An upload that was handed to the producer. It is settled when the broker has answered: accepted at `partition` and
    `offset`, or with a `fault`."""

    __slots__ = ("_uploads", "_waits", "content", "event_id", "event_text", "fault", "key", "offset", "partition")

    def __init__(self, uploads: "Uploads", key: bytes, event_id: tuple[bytes, str], content: int, wait: Wait) -> None:
        self._uploads, self.key, self.content = uploads, key, content
        self.event_id, self.event_text = event_id
        self._waits: Wait | list[Wait] = wait  # a list only when a retry came while it was on its way
        self.fault: Fault | None = None
        self.partition = self.offset = -1

    @property
    def settled(self) -> bool:
        return self.offset >= 0 or self.fault is not None

    def join(self, wait: Wait) -> None:
        wait.expect()
        self._waits = [*self._waits, wait] if isinstance(self._waits, list) else [self._waits, wait]

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """The producer's report."""
        if error is None:
            self.partition, self.offset = message.partition(), message.offset()
        else:
            self.fault = refused_by_broker(error)
        self._uploads.settle(self)
        waits = self._waits
        if isinstance(waits, Wait):
            waits.settle()
        else:
            for wait in waits:
                wait.settle()


Outcome = Pending | Receipt | Fault


class Uploads:
    """Accepts uploads of one kind: once each, however often and however concurrently they are sent."""

    def __init__(self, kind: EventKind, ledger: Ledger, producer: Producer, ids: EventIds) -> None:
        self.kind, self._ledger, self._producer, self._ids = kind, ledger, producer, ids
        self._pending: dict[bytes, Pending] = {}
        self._schema_id: int | None = None
        self.accepted = self.repeated = self.refused = 0
        self.unsent = 0  # broker away, queue full, or too large: not handed over

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
        pending = Pending(self, key, self._ids.next(), content, wait)
        value = envelope.value(pending.event_text, values["occurred_at"], rest)
        try:
            self._producer.send(kind.topic, values[kind.key].encode(), value, envelope.headers, pending.delivered)
        except Busy as busy:
            self.unsent += 1
            return overloaded(str(busy))
        except Away as away:
            self.unsent += 1
            return broker_away(str(away))
        except ValueError as too_large:
            self.unsent += 1
            return Fault(413, "RECORD_TOO_LARGE", str(too_large), [("$", "is too large")])
        self._pending[key] = pending
        wait.expect()
        return pending

    def settle(self, pending: Pending) -> None:
        """The broker has answered: remember where the record is; one that was not written may be sent again."""
        del self._pending[pending.key]
        if pending.fault is None:
            receipt = packed(pending.event_id, pending.partition, pending.offset, pending.content)
            self._ledger.add(pending.key, receipt)
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
