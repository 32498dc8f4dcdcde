"""A page of the log as an Avro object container file (Avro specification, "Object Container Files").

The file's records are envelopes with the log's record as it is: `value` has the schema under which it was written, so that
a reader gets a table with typed columns. A page therefore ends where the schema of its values changes; what is no Avro, or
can't be decoded, is in pages of its own, as bytes. Bodies are checked and copied, not written anew.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from connectors.ingress.log_avro_values import ReadableReader
from connectors.ingress.log_pace import paced
from connectors.ingress.log_values import Readers, framed_id, timestamp_type
from connectors.pages import LogRecord, Page
from schemas.avro_reader import BadSchema, Undecodable
from schemas.avro_writer import long_bytes
from schemas.codec import named
from schemas.log import TopicPartition
from schemas.wire import PREFIX_BYTES

MAGIC = b"Obj\x01"
NO_BRANCH, BRANCH = long_bytes(0), long_bytes(1)  # of a union of null and something
BYTES = "bytes"
RECORDS_PER_BLOCK = 100
HEADER = {
    "type": "record",
    "name": "LogHeader",
    "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
}


@dataclass(frozen=True, slots=True)
class _Column:
    """How values of one schema stand in the file: the type of the field, what comes before a body, and a missing value."""

    union: Any
    before: bytes
    missing: bytes


PLAIN = _Column(["null", BYTES], BRANCH, NO_BRANCH)


def avro_page(source: TopicPartition, page: Page, readers: Readers | None) -> tuple[Page, bytes]:
    """The beginning of a page whose values have one schema, and the file."""
    columns: dict[int, _Column | str] = {}
    of_all: list[tuple[int | None, str | None]] = []  # of each record: the schema id it is decoded by, and why it is not
    chosen: int | None = None
    decided = False
    for record in paced(page.records):
        number, error = _kind(record.value, readers, columns)
        if record.value is not None:
            if decided and number != chosen:
                break
            chosen, decided = number, True
        of_all.append((number, error))
    kept = page.cut(len(of_all))
    column = PLAIN if chosen is None else columns[chosen]
    assert isinstance(column, _Column)
    return kept, _file(source, kept, column, [error for _, error in of_all])


def envelope(union: Any) -> dict[str, Any]:
    """The schema of the file's records; `union` is the type of `value`."""
    return {
        "type": "record",
        "name": "LogRecord",
        "fields": [
            {"name": "offset", "type": "long"},
            {"name": "timestamp", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
            {"name": "timestamp_type", "type": ["null", "string"]},
            {"name": "key", "type": ["null", "bytes"]},
            {"name": "headers", "type": {"type": "array", "items": HEADER}},
            {"name": "schema_id", "type": ["null", "long"]},
            {"name": "value", "type": union},
            {"name": "error", "type": ["null", "string"]},
        ],
    }


def _kind(value: bytes | None, readers: Readers | None, columns: dict[int, _Column | str]) -> tuple[int | None, str | None]:
    """The schema id by which a value is decoded, None if it stays bytes; and why it does, if it looks like Avro."""
    number = framed_id(value)
    if number is None or value is None or readers is None:
        return None, None
    reader = readers[number]
    if isinstance(reader, str):
        return None, reader
    if number not in columns:
        columns[number] = _column(reader)
    column = columns[number]
    if isinstance(column, str):
        return None, column
    try:
        reader.check(value[PREFIX_BYTES:])
    except Undecodable as error:
        return None, str(error)
    return number, None


def _column(reader: ReadableReader) -> _Column | str:
    writer = reader.schema
    if isinstance(writer, list):
        names = [one["type"] if isinstance(one, dict) else one for one in writer]
        union = writer if "null" in names else [*writer, "null"]
        made = _Column(union, b"", long_bytes([*names, "null"].index("null")))
    elif writer in ("null", {"type": "null"}):
        return "its schema is null, which a file of records says without it"
    else:
        made = _Column(["null", writer], BRANCH, NO_BRANCH)
    try:
        named(envelope(made.union))
    except BadSchema as error:
        return f"its schema does not fit into a file of records: {error}"
    return made


def _file(source: TopicPartition, page: Page, column: _Column, errors: Sequence[str | None]) -> bytes:
    schema = json.dumps(envelope(column.union)).encode()
    place = f"{source} {page.start} {page.following}".encode()
    mark = blake2b(schema + place, digest_size=16).digest()  # the same for the same page
    about = {
        "avro.schema": schema,
        "avro.codec": b"null",
        "fleetlog.topic": source.topic.encode(),
        "fleetlog.partition": b"%d" % source.partition,
        "fleetlog.next": b"%d" % page.following,
    }
    out = [MAGIC, _map(about), mark]
    rows = [_row(record, column, error) for record, error in paced(zip(page.records, errors, strict=True))]
    for first in range(0, len(rows), RECORDS_PER_BLOCK):
        block = rows[first : first + RECORDS_PER_BLOCK]
        data = b"".join(block)
        out += (long_bytes(len(block)), long_bytes(len(data)), data, mark)
    return b"".join(out)


def _row(record: LogRecord, column: _Column, error: str | None) -> bytes:
    kind = timestamp_type(record)
    parts = [
        long_bytes(record.offset),
        NO_BRANCH if record.timestamp is None else BRANCH + long_bytes(record.timestamp),
        _optional(None if kind is None else kind.encode()),
        _optional(record.key),
    ]
    if record.headers:
        parts.append(long_bytes(len(record.headers)))
        parts += [_sized(name.encode()) + _optional(content) for name, content in record.headers]
    parts.append(long_bytes(0))
    number = framed_id(record.value)
    parts.append(NO_BRANCH if number is None else BRANCH + long_bytes(number))
    if record.value is None:
        parts.append(column.missing)
    elif column is PLAIN:
        parts.append(_optional(record.value))
    else:
        parts += (column.before, record.value[PREFIX_BYTES:])
    parts.append(_optional(None if error is None else error.encode()))
    return b"".join(parts)


def _sized(data: bytes) -> bytes:
    return long_bytes(len(data)) + data


def _optional(data: bytes | None) -> bytes:
    return NO_BRANCH if data is None else BRANCH + _sized(data)


def _map(entries: Mapping[str, bytes]) -> bytes:
    pairs = b"".join(_sized(name.encode()) + _sized(value) for name, value in entries.items())
    return long_bytes(len(entries)) + pairs + long_bytes(0)
