"""Filling the ledger from the log when the ingress starts: what was accepted before is known again, however the process
ended."""

import heapq
import io
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastavro

from connectors.ingress.event import HEAD, EventKind, rest_of
from connectors.ingress.identifiers import uuid_bytes
from connectors.ingress.ledger import Ledger, packed
from connectors.ports import LogReader, UnknownSchema
from connectors.process import give_back_memory
from schemas.codec import BadSchema, Decoder, Undecodable, parsed
from schemas.contract import Schema
from schemas.log import Batch, TopicPartition
from schemas.upcasters import UpcastingDecoder, upcasting
from schemas.wire import PREFIX_BYTES, NotFramed, schema_id

log = logging.getLogger(__name__)

MOST_CHUNK = 10_000  # records of a partition read at a time, newest first
CHUNKS = 100  # ... and so many of them to fill a ledger, so that it holds the newest of all partitions
UNREAD = -(2**62)  # sorts before every partition that was read
SETTLE_SECONDS = 0.3
SETTLE_ROUNDS = 20
HEAD_FAULTS = (ValueError, TypeError, EOFError, IndexError, KeyError, OverflowError)

Found = tuple[int, bytes, bytes]
"""When the record was received (µs), its key in the ledger, its receipt (see `packed`)."""


class Interpreter:
    """Reads from a record in the log what the ledger keeps of it.

    A body written under the present schema is read only as far as the fields that identify it; one of another version is
    decoded whole and its content digested as if it were written now.
    """

    def __init__(self, kind: EventKind, own_id: int, schema_of: Callable[[int], Schema]) -> None:
        self._kind, self._own_id, self._schema_of = kind, own_id, schema_of
        fields = kind.record.schema["fields"]
        last = max(i for i, declared in enumerate(fields) if declared["name"] in (*HEAD, *kind.identity))
        self._head = parsed({**kind.record.schema, "fields": fields[: last + 1]})
        self._steps = upcasting(kind.record)
        self._decoders: dict[int, Decoder | UpcastingDecoder] = {}
        self._strangers: set[int] = set()  # schemas of other record types of the topic

    def found(self, partition: int, offset: int, value: bytes | None) -> Found | None:
        """What a record says, or None of one that no device API wrote (poison, tombstones).

        Raises:
            Away: the registry is needed for an older schema and does not answer.
        """
        if value is None:
            return None
        try:
            written_with = schema_id(value)
            body = value[PREFIX_BYTES:]
            if written_with in self._strangers:
                return None
            if written_with == self._own_id:
                values: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(body), self._head, None)
                rest = rest_of(body)
            else:
                values = self._decoder(written_with).decode(body)
                rest = self._kind.encode_rest(values)
            receipt = packed(uuid_bytes(values["event_id"]), partition, offset, self._kind.content(values, rest))
            return int(values["received_at"]), self._kind.ledger_key(values), receipt
        except (NotFramed, UnknownSchema, BadSchema, Undecodable, *HEAD_FAULTS) as fault:
            log.debug("not an upload: %s/%d@%d: %s", self._kind.topic, partition, offset, fault)
            return None

    def _decoder(self, written_with: int) -> Decoder | UpcastingDecoder:
        if written_with not in self._decoders:
            schema = self._schema_of(written_with)
            if schema.get("name") not in (self._kind.record.name, self._kind.record.full_name):
                self._strangers.add(written_with)
                raise BadSchema(f"of another record type than {self._kind.record.name}")
            self._decoders[written_with] = self._steps.decoder(schema)
        return self._decoders[written_with]


@dataclass(order=True)
class _Tail:
    """How far back a partition was read. Ordered by the age of what was read last, newest first."""

    newest_unread: int  # minus the received_at of the oldest record read
    source: TopicPartition = field(compare=False)
    low: int = field(compare=False)
    next_stop: int = field(compare=False)


def recover(reader: LogReader, interpreters: Mapping[str, Interpreter], ledger: Ledger, capacity: int) -> int:
    """Fill `ledger` with the newest `capacity` uploads of the topics of `interpreters`; returns how many were found.

    Partitions are read backwards in chunks, always the one that was read back least far in time, so that it takes about
    `capacity` records however they are spread.

    A producer that was killed may have sent its last records just before: the log counts as read when its ends have
    not moved for SETTLE_SECONDS.

    Raises:
        Away: broker or registry do not answer.
    """
    bounds = reader.bounds(interpreters)
    found = _newest(reader, interpreters, bounds, capacity)
    ends = {source: high for source, (_, high) in bounds.items()}
    for _ in range(SETTLE_ROUNDS):
        time.sleep(SETTLE_SECONDS)
        moved = {source: high for source, (_, high) in reader.bounds(interpreters).items() if high > ends.get(source, 0)}
        if not moved:
            break
        for source, high in moved.items():
            found += _read(reader, interpreters, source, ends.get(source, 0), high)
            ends[source] = high
    found.sort(key=lambda one: one[0])
    for _, key, receipt in found[-capacity:]:
        ledger.add(key, receipt)
    return len(found)


def _newest(
    reader: LogReader,
    interpreters: Mapping[str, Interpreter],
    bounds: Mapping[TopicPartition, tuple[int, int]],
    capacity: int,
) -> list[Found]:
    chunk = max(1, min(MOST_CHUNK, capacity // CHUNKS))
    unread = [_Tail(UNREAD, source, low, high) for source, (low, high) in bounds.items() if high > low]
    heapq.heapify(unread)
    found: list[Found] = []
    read = 0
    while unread and (read < capacity or unread[0].newest_unread == UNREAD):
        tail = unread[0]
        start = max(tail.low, tail.next_stop - chunk)
        got = _read(reader, interpreters, tail.source, start, tail.next_stop)
        give_back_memory()
        found += got
        read += tail.next_stop - start
        tail.next_stop = start
        tail.newest_unread = -min(got)[0] if got else max(tail.newest_unread, UNREAD + 1)
        if start == tail.low:
            heapq.heappop(unread)
        else:
            heapq.heapreplace(unread, tail)
    return found


def _read(
    reader: LogReader, interpreters: Mapping[str, Interpreter], source: TopicPartition, start: int, stop: int
) -> list[Found]:
    interpreter = interpreters[source.topic]
    found = []
    batch: Batch
    for batch in reader.read(source, start, stop):
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            one = interpreter.found(source.partition, offset, value)
            if one is not None:
                found.append(one)
    return found
