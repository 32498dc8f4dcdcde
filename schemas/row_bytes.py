"""The canonical bytes of a view's row: its columns in the table's order, as ClickHouse's RowBinary has them.

That is: a string as its length (unsigned LEB128) and its UTF-8 bytes; a long, and a timestamp as microseconds, as 8 bytes,
signed, little-endian; a double as its 8 bytes (IEEE 754, little-endian); a boolean as one byte; an array as its length
(LEB128) and its elements; a nullable column with one byte before it, 1 for null (and nothing after it), else 0.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from schemas.table import Column, ColumnType, Table

Encode = Callable[[Any], bytes]

_long = struct.Struct("<q").pack
_double = struct.Struct("<d").pack


def _length(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _string(text: str) -> bytes:
    data = text.encode()
    return _length(len(data)) + data


def _boolean(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def _doubles(values: Iterable[float]) -> bytes:
    data = [_double(value) for value in values]
    return _length(len(data)) + b"".join(data)


def _strings(values: Iterable[str]) -> bytes:
    data = [_string(value) for value in values]
    return _length(len(data)) + b"".join(data)


_ENCODE: dict[ColumnType, Encode] = {
    ColumnType.STRING: _string,
    ColumnType.LABEL: _string,
    ColumnType.LONG: _long,
    ColumnType.DOUBLE: _double,
    ColumnType.BOOLEAN: _boolean,
    ColumnType.TIMESTAMP: _long,
    ColumnType.DOUBLES: _doubles,
    ColumnType.STRINGS: _strings,
}


def _nullable(encode: Encode) -> Encode:
    return lambda value: b"\x01" if value is None else b"\x00" + encode(value)


def _encoder(column: Column) -> Encode:
    plain = _ENCODE[column.type]
    return _nullable(plain) if column.nullable else plain


def row_hashes(table: Table, rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    """SHA-256 of the canonical bytes of each row, given as its values in the table's column order (timestamps as
    microseconds)."""
    encoders = [_encoder(column) for column in table.columns]
    for row in rows:
        yield hashlib.sha256(b"".join([encode(value) for encode, value in zip(encoders, row, strict=True)])).digest()
