"""A record of Kafka-REST v3 as it is sent, and what of it is checked without a schema: timestamp, headers, fields."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from connectors.http.body import too_deep
from connectors.http.request import Fault
from connectors.ingress.options import Header
from connectors.traces import MARK

MOST_HEADERS = 100
MOST_HEADER_BYTES = 65_536  # names and values of one record's headers
LATEST_TIMESTAMP = 253_402_300_799_999  # milliseconds since 1970: the end of the year 9999, the last that ISO 8601 writes
_ZONED = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

Kind = Literal["BINARY", "JSON", "STRING", "AVRO", "JSONSCHEMA", "PROTOBUF"]
Strategy = Literal["TOPIC_NAME", "RECORD_NAME", "TOPIC_RECORD_NAME"]


class DataIn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A key or value: its `type`, or where its schema is found."""

    type: Kind | None = None
    subject: str | None = None
    subject_name_strategy: Strategy | None = None
    schema_id: int | None = None
    schema_version: int | Literal["latest"] | None = None
    schema: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class HeaderIn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A header; `value` is Base64."""

    name: str
    value: str | None = None


class RecordIn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One record. `timestamp` is ISO 8601 with a zone, or milliseconds since 1970 UTC."""

    partition_id: int | None = None
    headers: list[HeaderIn] | None = None
    key: DataIn | None = None
    value: DataIn | None = None
    timestamp: str | int | None = None


class EntryIn(RecordIn, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One record of a batch."""

    id: str


_RECORDS = msgspec.json.Decoder(RecordIn)
_ENTRIES = msgspec.json.Decoder(EntryIn)


def bad_record(place: str, message: str) -> Fault:
    return Fault(400, "BAD_RECORD", f"{place}: {message}")


def record_of(text: bytes | msgspec.Raw, max_depth: int, entry: bool = False) -> RecordIn:
    """The record that a JSON text holds; `entry`: it is one of a batch.

    Raises:
        Fault: 400, with the place.
    """
    if too_deep(bytes(text), max_depth):
        raise bad_record("$", f"nests deeper than {max_depth} levels")
    try:
        return (_ENTRIES if entry else _RECORDS).decode(text)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        raise bad_record(place.rstrip("`") or "$", message) from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Fault(400, "MALFORMED_JSON", f"the record is not JSON: {error}") from None


def milliseconds(timestamp: str | int) -> int:
    """A timestamp in milliseconds since 1970 UTC.

    Raises:
        Fault: 400 it is none that a record can have. Nought is not: to the producer it means now.
    """
    if isinstance(timestamp, str):
        moment = _moment(timestamp)
        if moment is None:
            raise bad_record("$.timestamp", f"{timestamp[:40]!r} is no ISO 8601 with a zone, such as 2021-02-05T19:14:42Z")
        timestamp = (moment - _EPOCH) // _MILLISECOND
    if not 0 < timestamp <= LATEST_TIMESTAMP:
        raise bad_record("$.timestamp", "is not after 1970-01-01T00:00:00Z and before the year 10000")
    return timestamp


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.upper()) if _ZONED.fullmatch(text) else None
    except ValueError:  # no such day or time
        return None


def headers_of(given: list[HeaderIn] | None, own: list[Header]) -> list[Header]:
    """The headers of a record: those given, then the `own` of its request that are not given.

    Raises:
        Fault: 400 a header is none; 413 they are too many or too large.
    """
    if not given:
        return own
    if len(given) > MOST_HEADERS:
        raise Fault(413, "TOO_MANY_HEADERS", f"$.headers: has {len(given)} items, more than {MOST_HEADERS}")
    found = [_header(one, i) for i, one in enumerate(given)]
    if sum(len(name) + len(value or b"") for name, value in found) > MOST_HEADER_BYTES:
        raise Fault(413, "TOO_MANY_HEADERS", f"$.headers: have more than {MOST_HEADER_BYTES} bytes")
    names = {name for name, _ in found}
    return found + [header for header in own if header[0] not in names]


def _header(header: HeaderIn, i: int) -> Header:
    name, value = header.name, header.value
    # The client library takes a name up to its first NUL.
    if not name or "\0" in name:
        raise bad_record(f"$.headers[{i}].name", "is empty or holds a NUL")
    if name == MARK:
        raise bad_record(f"$.headers[{i}].name", f"is {MARK}, which the ingress itself writes")
    try:
        return name, None if value is None else base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad_record(f"$.headers[{i}].value", f"is not base64: {error}") from None
