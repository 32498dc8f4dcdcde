"""Keys, values and headers of records as JSON, with the name of what each is."""

import base64
import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from connectors.ingress.log_answers import LogEntry, LogHeader
from connectors.ingress.log_avro_values import ReadableReader, moment
from connectors.pages import LogRecord
from schemas.avro_reader import Undecodable
from schemas.wire import PREFIX_BYTES, NotFramed, schema_id

Readers = Mapping[int, ReadableReader | str]
"""By schema id how to read its bodies, or why they can't be read."""
NULL = msgspec.Raw(b"null")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # what text does not hold
_timestamp = moment(1_000, 3, "Z")


class Shown(NamedTuple):
    """A key or value: JSON text, what it is ("avro", "json", "text", "binary", None: there is none), its schema id, and why
    it could not be decoded."""

    json: msgspec.Raw
    kind: str | None
    schema_id: int | None = None
    error: str | None = None


def framed_id(data: bytes | None) -> int | None:
    """The schema id of what is in the wire format of Avro, None of everything else."""
    if not data or data[0] != 0:
        return None
    try:
        return schema_id(data)
    except NotFramed:
        return None


def entry(record: LogRecord, readers: Readers | None) -> LogEntry:
    """A record as it is shown. Without readers values stay bytes."""
    key, value = _key(record.key, readers), _value(record.value, readers)
    timestamp = None if record.timestamp is None else _timestamp(record.timestamp)
    return LogEntry(
        offset=record.offset,
        timestamp=timestamp,
        timestamp_type=timestamp_type(record),
        key=key.json,
        key_type=key.kind,
        key_schema_id=key.schema_id,
        headers=[_header(name, content) for name, content in record.headers],
        schema_id=value.schema_id,
        value=value.json,
        value_type=value.kind,
        error=value.error or (f"key: {key.error}" if key.error else None),
    )


def timestamp_type(record: LogRecord) -> str | None:
    if record.timestamp is None:
        return None
    return "append" if record.appended else "create"


def _key(data: bytes | None, readers: Readers | None) -> Shown:
    if data is None:
        return Shown(NULL, None)
    return _avro(data, readers) or _text(data) or _binary(data)


def _value(data: bytes | None, readers: Readers | None) -> Shown:
    if data is None:
        return Shown(NULL, None)
    found = _avro(data, readers)
    if found is not None:
        return found
    if readers is None:
        return _binary(data)
    return _json(data) or _text(data) or _binary(data)


def _avro(data: bytes, readers: Readers | None) -> Shown | None:
    number = framed_id(data)
    if number is None:
        return None
    if readers is None:
        return _binary(data, number)
    reader = readers[number]
    if isinstance(reader, str):
        return _binary(data, number, reader)
    try:
        return Shown(msgspec.Raw(reader.json(data[PREFIX_BYTES:])), "avro", number)
    except Undecodable as error:
        return _binary(data, number, str(error))


def _json(data: bytes) -> Shown | None:
    """JSON passed through as it was written, but for white space between its parts: no digit is lost."""
    try:
        msgspec.json.decode(data)
        return Shown(msgspec.Raw(msgspec.json.format(data, indent=-1)), "json")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _text(data: bytes) -> Shown | None:
    text = _decoded(data)
    return None if text is None else Shown(msgspec.Raw(msgspec.json.encode(text)), "text")


def _decoded(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _binary(data: bytes, number: int | None = None, error: str | None = None) -> Shown:
    return Shown(msgspec.Raw(b'"%s"' % base64.b64encode(data)), "binary", number, error)


def _header(name: str, content: bytes | None) -> LogHeader:
    if content is None:
        return LogHeader(name, None, None)
    text = _decoded(content)
    if text is not None:
        return LogHeader(name, text, "text")
    return LogHeader(name, base64.b64encode(content).decode(), "binary")
