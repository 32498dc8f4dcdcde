"""The native protocol's compressed frames: checksum (16 bytes), method, size with these 9 bytes, plain size, data."""

import struct
from enum import IntEnum

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from infra.chserver.errors import Code, broken
from infra.chserver.wire import Reader

MAX_FRAME = 128 << 20  # bytes of a frame, packed and plain; clients send frames of 1 MiB
_CHECKSUM = 16
_HEAD = struct.Struct("<BII")
_LOW_HALF = (1 << 64) - 1


class Method(IntEnum):
    NONE = 0x02
    LZ4 = 0x82
    ZSTD = 0x90


METHOD_OF_SETTING = {"NONE": Method.NONE, "LZ4": Method.LZ4, "LZ4HC": Method.LZ4, "ZSTD": Method.ZSTD}
"""The method that answers are packed with, by the setting `network_compression_method`."""


def read_frame(raw: Reader) -> bytes:
    """The plain bytes of the frame at the reader's position, which is forgotten.

    Raises:
        ProtocolError: checksum, sizes or data of the frame are wrong.
    """
    checksum = raw.take(_CHECKSUM)
    head = raw.take(_HEAD.size)
    method, size, plain = _HEAD.unpack(head)
    if not _HEAD.size <= size <= MAX_FRAME or plain > MAX_FRAME:
        raise broken(Code.TOO_LARGE_STRING_SIZE, f"A compressed frame of {size} bytes for {plain} is not allowed")
    data = raw.take(size - _HEAD.size)
    raw.forget()
    if _checksum(head + data) != checksum:
        raise broken(Code.CHECKSUM_DOESNT_MATCH, "The checksum of a compressed frame does not match its bytes")
    unpacked = _unpack(method, data, plain)
    if len(unpacked) != plain:
        raise broken(Code.CANNOT_DECOMPRESS, f"A compressed frame holds {len(unpacked)} bytes and announces {plain}")
    return unpacked


def frame(data: bytes, method: Method) -> bytes:
    """`data` as one frame."""
    packed = data
    if method is Method.LZ4:
        packed = lz4.block.compress(data, store_size=False)
    elif method is Method.ZSTD:
        packed = zstandard.ZstdCompressor(level=1).compress(data)
    body = _HEAD.pack(method, len(packed) + _HEAD.size, len(data)) + packed
    return _checksum(body) + body


def _unpack(method: int, data: bytes, plain: int) -> bytes:
    try:
        if method == Method.LZ4:
            return bytes(lz4.block.decompress(data, uncompressed_size=plain))
        if method == Method.ZSTD:
            if zstandard.frame_content_size(data) > plain:  # it would take that much memory at once
                raise broken(Code.CANNOT_DECOMPRESS, f"A zstd frame holds more than the {plain} bytes it announces")
            return zstandard.ZstdDecompressor().decompress(data, max_output_size=plain)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError) as error:
        raise broken(Code.CANNOT_DECOMPRESS, f"A compressed frame cannot be unpacked: {error}") from error
    if method == Method.NONE:
        return data
    raise broken(Code.UNKNOWN_COMPRESSION_METHOD, f"The compression method {method:#x} is not known")


def _checksum(data: bytes) -> bytes:
    digest = CityHash128(data)
    return struct.pack("<QQ", digest >> 64, digest & _LOW_HALF)
