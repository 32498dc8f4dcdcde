"""The Confluent wire format: a zero byte, the schema id as four bytes big-endian, then the Avro body.

Source: Confluent Schema Registry's documentation, "Wire format".
"""

import struct

MAGIC = 0
PREFIX_BYTES = 5
_PREFIX = struct.Struct(">bI")


class NotFramed(ValueError):
    """The bytes are not in the wire format."""


class UnknownSchema(Exception):
    """The registry has no schema under this id."""


def prefix(schema_id: int) -> bytes:
    """The five bytes before a body."""
    return _PREFIX.pack(MAGIC, schema_id)


def schema_id(value: bytes) -> int:
    """The schema id of a framed value.

    Raises:
        NotFramed: too short, or not starting with the zero byte.
    """
    if len(value) < PREFIX_BYTES:
        raise NotFramed(f"{len(value)} bytes, shorter than the 5 of the frame")
    magic, number = _PREFIX.unpack_from(value)
    if magic != MAGIC:
        raise NotFramed(f"starts with the byte {value[0]:#04x}, not with 0x00")
    return int(number)
