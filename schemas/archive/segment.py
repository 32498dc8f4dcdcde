"""A segment of the archive: records of one partition as one Avro container file, compressed by deflate, which every Avro
reader knows. Keys, values and headers are the log's own bytes (values in the Confluent wire format), so that what is
written back is what was there.

A segment's Merkle root is over the records, not over the file: the same records in another container have the same root.
A leaf is, all numbers big-endian: offset and timestamp (8 bytes each), key, value, the count of headers (4 bytes), and for
each its name and value; bytes stand behind their length (4 bytes; -1 for null).
"""

import hashlib
import io
import struct
import zlib
from typing import Any

import fastavro
import polars as pl

from schemas.archive.records import Headers, Records
from schemas.log import TopicPartition, offsets_of
from schemas.transparency.merkle import Tree, leaf_hash

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "ArchivedRecord",
    "namespace": "fleetlog.archive",
    "doc": "One record of the log, as it was.",
    "fields": [
        {"name": "offset", "type": "long", "doc": "Its offset in the partition."},
        {"name": "timestamp", "type": "long", "doc": "Its timestamp in the log, in milliseconds since 1970."},
        {"name": "key", "type": ["null", "bytes"], "doc": "Its key."},
        {
            "name": "headers",
            "doc": "Its headers, in their order.",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "ArchivedHeader",
                    "fields": [
                        {"name": "name", "type": "string", "doc": "The header's name."},
                        {"name": "value", "type": ["null", "bytes"], "doc": "Its value."},
                    ],
                },
            },
        },
        {"name": "value", "type": ["null", "bytes"], "doc": "Its value: Avro behind a zero byte and the schema's id."},
    ],
}
_PARSED = fastavro.parse_schema(SCHEMA)
_BLOCK_BYTES = 1 << 20
_LEVEL = 3  # of deflate: twice as fast as its default of 6, a tenth larger
_NUMBERS = struct.Struct(">qq")
_LENGTH = struct.Struct(">i")
_SMALL = 4096  # bytes; a file with a record may be smaller, one without is
# What the two readers raise of bytes that are no such file. A panic is a BaseException.
_REFUSALS = (
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError),
    *(ValueError, LookupError, EOFError, TypeError, zlib.error, fastavro.schema.SchemaParseException),
)


class Damaged(ValueError):
    """What the archive holds is not what it says it holds; the message names the object."""


def encoded(records: Records) -> bytes:
    """The container file. The same records always give the same bytes."""
    rows = (
        {
            "offset": offset,
            "timestamp": timestamp,
            "key": key,
            "headers": [{"name": name, "value": content} for name, content in headers],
            "value": value,
        }
        for offset, timestamp, key, headers, value in zip(
            records.offsets, records.timestamps, records.keys, records.headers, records.values, strict=True
        )
    )
    place = f"{records.source}:{records.read_from}-{records.read_to}"
    file = io.BytesIO()
    fastavro.writer(
        file,
        _PARSED,
        rows,
        codec="deflate",
        codec_compression_level=_LEVEL,
        sync_interval=_BLOCK_BYTES,
        # Avro wants 16 bytes that the file is unlikely to hold otherwise; random ones would make each copy another file.
        sync_marker=hashlib.sha256(place.encode()).digest()[:16],
        metadata={"fleetlog.records": place},
    )
    return file.getvalue()


def decoded(data: bytes, source: TopicPartition, read_from: int, read_to: int, with_headers: bool = True) -> Records:
    """The records of a container file, which the caller knows to cover [read_from, read_to) of a partition. No Python object
    is made of a record beside its key and value, but of its headers; without them reading is about three times as fast.

    Raises:
        Damaged: it is no such file.
    """
    try:
        if len(data) < _SMALL and _holds_none(data):  # of which polars says that it is no file
            return Records(source, range(read_from, read_from), [], [], [], [], read_from, read_to)
        columns = None if with_headers else ["offset", "timestamp", "key", "value"]
        frame = pl.read_avro(io.BytesIO(data), columns=columns)
        offsets = offsets_of(frame["offset"].to_list())
        timestamps, keys, values = (frame[name].to_list() for name in ("timestamp", "key", "value"))
        headers = _headers(frame["headers"]) if with_headers else [()] * len(offsets)
    except _REFUSALS as error:
        raise Damaged(f"no container file of archived records: {error}") from None
    found = Records(source, offsets or range(read_from, read_from), timestamps, keys, headers, values, read_from, read_to)
    if offsets and not read_from <= offsets[0] <= offsets[-1] < read_to:
        raise Damaged(f"it holds the offsets {offsets[0]} to {offsets[-1]}, not those from {read_from} to below {read_to}")
    return found


def _holds_none(data: bytes) -> bool:
    return not any(True for _ in fastavro.reader(io.BytesIO(data)))


def _headers(column: pl.Series) -> list[Headers]:
    if not column.list.len().sum():
        return [()] * column.len()
    return [tuple((one["name"], one["value"]) for one in several) for several in column.to_list()]


def root(records: Records) -> bytes:
    """The Merkle root over the records (RFC 9162, as schemas.transparency.merkle)."""
    tree = Tree()
    for offset, timestamp, key, headers, value in zip(
        records.offsets, records.timestamps, records.keys, records.headers, records.values, strict=True
    ):
        parts = [_NUMBERS.pack(offset, timestamp), _part(key), _part(value), _LENGTH.pack(len(headers))]
        for name, content in headers:
            parts += (_part(name.encode()), _part(content))
        tree.append(leaf_hash(b"".join(parts)))
    return tree.root()


def _part(data: bytes | None) -> bytes:
    return _LENGTH.pack(-1) if data is None else _LENGTH.pack(len(data)) + data
