"""Kafka-REST's way into the log: records handed over one by one, each with its outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import KafkaError, Message

from connectors.ingress.delivery import Wait
from connectors.ingress.options import Header, Place, Producer
from connectors.ports import Away, Busy

BUSY, AWAY, LATE = "BUSY", "BROKER_UNAVAILABLE", "NOT_ACKNOWLEDGED"
TOO_LARGE, REFUSED, NO_PARTITION = "RECORD_TOO_LARGE", "BROKER_REFUSED", "PARTITION_NOT_FOUND"
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class Record(NamedTuple):
    """A record to write. `partition` None: its key decides. `timestamp` None: now; milliseconds since 1970 UTC."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    partition: int | None = None
    timestamp: int | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A record is in the log. `timestamp` in milliseconds since 1970 UTC: the record's, or the broker's if its topic says
    so."""

    partition: int
    offset: int
    timestamp: int | None


@dataclass(frozen=True, slots=True)
class NotWritten:
    """A record is not in the log; of one that is late (code LATE) this is not known. `retriable`: the same record may be
    taken later."""

    code: str
    message: str
    retriable: bool


class Pending:
    """A record on its way. `outcome` is None until it is decided."""

    __slots__ = ("_wait", "outcome")

    def __init__(self, wait: Wait) -> None:
        self._wait = wait
        self.outcome: Written | NotWritten | None = None

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            _, timestamp = message.timestamp()
            self.outcome = Written(message.partition(), message.offset(), timestamp if timestamp > 0 else None)
        else:
            code = TOO_LARGE if error.code() in _TOO_LARGE else REFUSED
            self.outcome = NotWritten(code, error.str(), error.retriable())
        self._wait.settle()


class RestWriter:
    """Hands records over. `written` and `failed` count those of which the outcome was told."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self.written = self.failed = 0

    def send(self, record: Record, partitions: int, wait: Wait) -> Pending:
        """Hand over one record for a topic of so many `partitions`; `wait` is made to wait for it unless it is decided
        at once."""
        pending, partition = Pending(wait), record.partition
        if partition is not None and not 0 <= partition < partitions:
            message = f"{record.topic} has no partition {partition}, it has {partitions}"
            pending.outcome = NotWritten(NO_PARTITION, message, retriable=False)
            return pending
        place = Place(-1 if partition is None else partition, record.timestamp or 0)
        try:
            self._producer.send(record.topic, record.key, record.value, record.headers, pending.delivered, place)
        except Busy as busy:
            pending.outcome = NotWritten(BUSY, str(busy), retriable=True)
        except Away as away:
            pending.outcome = NotWritten(AWAY, str(away), retriable=True)
        except ValueError as too_large:
            pending.outcome = NotWritten(TOO_LARGE, str(too_large), retriable=False)
        else:
            wait.expect()
        return pending

    def told(self, pending: Pending, seconds: float) -> Written | NotWritten:
        """The outcome, at the end of a wait of `seconds`; counted."""
        outcome = pending.outcome
        if outcome is None:
            message = f"the broker has not acknowledged the record within {seconds:g} s; it may yet be written"
            outcome = NotWritten(LATE, message, retriable=True)
        if isinstance(outcome, Written):
            self.written += 1
        else:
            self.failed += 1
        return outcome
