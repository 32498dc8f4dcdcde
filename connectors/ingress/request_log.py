"""Requests with an idempotency key as facts in the log (topic fleet.rest.requests): writing and reading them.

A request's facts have the same key, so they are in one partition, in order: it began (before its first record is written),
it was answered.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from connectors.http.request import Answer
from connectors.ingress.idempotency_key import name_digest, request_name
from connectors.ingress.request_memory import OVERHEAD, Done, RequestMemory, Unfinished
from connectors.ingress.rest_writer import Record, Written
from connectors.ingress.schema_ids import SchemaIds
from connectors.ports import LogReader, UnknownSchema
from connectors.process import give_back_memory
from schemas.codec import BadSchema, Decoder, Encoder, Undecodable
from schemas.contract import RecordType, Topic
from schemas.log import TopicPartition
from schemas.wire import PREFIX_BYTES, NotFramed, prefix, schema_id

log = logging.getLogger(__name__)

TOPIC = "fleet.rest.requests"
BEGAN, ANSWERED = "RestRequestBegan", "RestRequestAnswered"
NOTHING = Answer(b"", 0, b"")
"""Stands in the log for the answer of a request that wrote nothing, so that its key is free."""
FEWEST, MOST = 50, 5_000  # records of a partition read at a time, newest first

Fact = tuple[str, dict[str, Any]]
"""A record type's name and a record's values."""


class RequestLog:
    """Makes the records, and reads them. `open` comes before all else."""

    def __init__(self, topic: Topic, schema_ids: SchemaIds) -> None:
        self._topic, self._schema_ids = topic, schema_ids
        self._types: dict[str, RecordType] = {record.name: record for record in topic.records}
        self._encoders = {name: Encoder(record).encode for name, record in self._types.items()}
        self._prefixes: dict[str, bytes] = {}
        self._decoders: dict[int, tuple[str, Decoder]] = {}

    def open(self) -> None:
        """Register the schemas.

        Raises:
            Away, SchemaRefused: as SchemaIds.
        """
        self._prefixes = {name: prefix(self._schema_ids.of(self._topic, record)) for name, record in self._types.items()}

    def began(self, entry: Unfinished) -> Record:
        """A request is about to be written, or was looked up and is written as far as `entry` says."""
        written = [
            {"index": index, "partition": one.partition, "offset": one.offset, "timestamp": one.timestamp}
            for index, one in sorted(entry.written.items())
        ]
        of_entry = {"topic": entry.topic, "records": entry.records, "starts": entry.starts, "written": written}
        return self._record(BEGAN, entry, of_entry)

    def answered(self, entry: Unfinished, answer: Answer, now: int) -> Record:
        """A request has its answer for good, or (NOTHING) wrote nothing."""
        of_answer = {"status": answer.status, "content_type": answer.content_type.decode("ascii"), "body": answer.body}
        return self._record(ANSWERED, entry, {"answered_at": now, **of_answer})

    def _record(self, kind: str, entry: Unfinished, values: dict[str, Any]) -> Record:
        principal, _, key = entry.name.partition("/")
        head = {
            "request_id": entry.request_id,
            "principal": principal,
            "idempotency_key": key,
            "fingerprint": entry.fingerprint,
            "began_at": entry.began_at,
        }
        return Record(TOPIC, entry.name.encode(), self._prefixes[kind] + self._encoders[kind]({**head, **values}), [])

    def fact(self, source: TopicPartition, offset: int, value: bytes | None) -> Fact | None:
        """What a record says, None of one that is no fact (poison).

        Raises:
            Away: the registry is needed for an older schema and does not answer.
        """
        if value is None:
            return None
        try:
            name, decoder = self._decoder(schema_id(value))
            return name, decoder.decode(value[PREFIX_BYTES:])
        except (NotFramed, UnknownSchema, BadSchema, Undecodable, KeyError) as fault:
            log.warning("not a request's fact: %s@%d: %r", source, offset, fault)
            return None

    def _decoder(self, written_with: int) -> tuple[str, Decoder]:
        if written_with not in self._decoders:
            schema = self._schema_ids.schema(written_with)
            name = schema["name"]
            self._decoders[written_with] = name, Decoder(schema, self._types[name].schema)
        return self._decoders[written_with]

    def read(self, reader: LogReader, most_bytes: int, since: int) -> list[Fact]:
        """The facts of the requests that began at `since` or later, but no more than about twice `most_bytes` of them,
        the newest; those of one request in their order.

        Raises:
            Away: broker or registry do not answer.
        """
        bounds = reader.bounds([TOPIC])
        share = 2 * most_bytes // max(1, len(bounds))
        return [fact for source in bounds for fact in self._newest(reader, source, bounds[source], share, since)]

    def _newest(
        self, reader: LogReader, source: TopicPartition, bounds: tuple[int, int], most_bytes: int, since: int
    ) -> list[Fact]:
        """Those of one partition, read backwards in chunks of about an eighth of `most_bytes`."""
        low, stop = bounds
        chunks: list[list[Fact]] = []
        size, records = 0, FEWEST
        while stop > low and size < most_bytes:
            start = max(low, stop - records)
            facts = list(self._facts(reader, source, start, stop))
            give_back_memory()
            chunks.append(facts)
            if facts and facts[0][1]["began_at"] < since:
                break
            size += sum(OVERHEAD + len(values.get("body", b"")) for _, values in facts)
            read = sum(len(chunk) for chunk in chunks)
            records = min(MOST, max(FEWEST, most_bytes * read // (8 * max(1, size))))
            stop = start
        return [fact for chunk in reversed(chunks) for fact in chunk]

    def _facts(self, reader: LogReader, source: TopicPartition, start: int, stop: int) -> Iterator[Fact]:
        for batch in reader.read(source, start, stop):
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                fact = self.fact(source, offset, value)
                if fact is not None:
                    yield fact


def remember(facts: Iterable[Fact], remembered: RequestMemory, now: int) -> None:
    """What `facts` say, those of one request in their order, as of `now` (microseconds).

    An answer is the last word of its life: a request that began under the same key within it was begun by a process that
    had died, whose record came late, and wrote nothing.
    """
    states: dict[str, Unfinished | Done] = {}
    for kind, values in facts:
        name = request_name(values["principal"], values["idempotency_key"])
        before = states.get(name)
        if kind == ANSWERED:
            if values["status"] == NOTHING.status:
                if isinstance(before, Unfinished) and before.request_id == values["request_id"]:
                    del states[name]
                continue
            answer = Answer(values["body"], values["status"], values["content_type"].encode())
            states[name] = Done(values["began_at"], values["fingerprint"], answer)
        elif not (isinstance(before, Done) and values["began_at"] - before.began_at < remembered.life):
            states[name] = _unfinished(name, values)
    for name, state in sorted(states.items(), key=lambda one: one[1].began_at):
        if now - state.began_at < remembered.life:
            remembered.put(name_digest(name), state, now)


def _unfinished(name: str, values: dict[str, Any]) -> Unfinished:
    written = {one["index"]: Written(one["partition"], one["offset"], one["timestamp"]) for one in values["written"]}
    return Unfinished(
        name,
        values["request_id"],
        values["fingerprint"],
        values["began_at"],
        values["topic"],
        values["records"],
        values["starts"],
        written,
        durable=True,
        interrupted=True,
    )
