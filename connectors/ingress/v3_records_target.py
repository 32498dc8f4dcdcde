"""Where the records of a Kafka-REST v3 request go, and how each is made ready to be written."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from connectors.http.body import BodyReader
from connectors.http.request import Fault, Request
from connectors.ingress.deliveries import Deliveries
from connectors.ingress.delivery import RETRY_AFTER
from connectors.ingress.options import Header, Options
from connectors.ingress.rest_media import media_range
from connectors.ingress.rest_writer import AWAY, BUSY, LATE, NO_PARTITION, TOO_LARGE, NotWritten, Record, RestWriter
from connectors.ingress.v3_records_answers import DataOut, Reporter
from connectors.ingress.v3_records_in import headers_of, milliseconds, record_of
from connectors.ingress.v3_values import Conversion

JSON_TYPE, LINES_TYPE = b"application/json", b"application/x-ndjson"
_ACCEPTABLE = (b"application/json", b"application/*", b"*/*")
_UTF8 = frozenset({b"utf-8", b"utf8", b'"utf-8"'})
# What a record that was not written is told as: HTTP status, name of the fault.
_FAULTS = {
    BUSY: (429, "OVERLOADED"),
    AWAY: (503, "BROKER_UNAVAILABLE"),
    LATE: (503, "NOT_ACKNOWLEDGED"),
    TOO_LARGE: (413, "RECORD_TOO_LARGE"),
    NO_PARTITION: (404, "PARTITION_NOT_FOUND"),
}


@dataclass(frozen=True, slots=True)
class Tools:
    """What every request writes with."""

    options: Options
    bodies: BodyReader
    deliveries: Deliveries

    @property
    def writer(self) -> RestWriter:
        return self.deliveries.writer


class Ready(NamedTuple):
    """A record that can be written, and how its key and value will be told."""

    record: Record
    key: DataOut | None
    value: DataOut | None


@dataclass(slots=True)
class Target:
    """`partitions`: how many the topic has; `headers`: those that each record of the request gets; `check_open` raises
    Fault 403 where the caller may not write any longer."""

    topic: str
    partitions: int
    conversion: Conversion
    headers: list[Header]
    reporter: Reporter
    max_depth: int
    check_open: Callable[[], None]

    async def ready(self, text: bytes | msgspec.Raw, entry: bool = False) -> Ready:
        """A record of a JSON text; `entry`: it is one of a batch.

        Raises:
            Fault: it can't be written.
        """
        given = record_of(text, self.max_depth, entry)
        timestamp = None if given.timestamp is None else milliseconds(given.timestamp)
        headers = headers_of(given.headers, self.headers)
        (key, key_out), (value, value_out) = await self.conversion.record(given)
        return Ready(Record(self.topic, key, value, headers, given.partition_id, timestamp), key_out, value_out)


def not_written(outcome: NotWritten) -> Fault:
    """The fault of a record that the broker did not take, or has not acknowledged."""
    status, code = _FAULTS.get(outcome.code, (503, AWAY) if outcome.retriable else (422, outcome.code))
    return Fault(status, code, outcome.message, retry_after=RETRY_AFTER if outcome.retriable else None)


def check_media(request: Request, *allowed: bytes) -> None:
    """Raises Fault 415 for a body of another type than those allowed, 406 where the client does not take JSON."""
    media_type, _, parameters = request.content_type.lower().partition(b";")
    if media_type.strip() not in allowed:
        names = " or ".join(one.decode() for one in allowed)
        raise Fault(415, "UNSUPPORTED_MEDIA_TYPE", f"the body must be {names}")
    for parameter in parameters.split(b";"):
        name, _, value = parameter.strip().partition(b"=")
        if name == b"charset" and value not in _UTF8:
            raise Fault(415, "UNSUPPORTED_MEDIA_TYPE", "the body must be in UTF-8")
    if request.accept.strip():
        weights = dict(media_range(one) for one in request.accept.lower().split(b","))
        weight = next((weights[one] for one in _ACCEPTABLE if one in weights), 0.0)
        if weight <= 0:
            raise Fault(406, "NOT_ACCEPTABLE", "answers are application/json")
