"""What a device says in an upload, and a digest of it that can be recomputed from the log.

The digest covers every field that the device sends, down to the last bit of a double, and nothing that the ingress fills
in. It is BLAKE2b (8 bytes) over the fields as JSON in the contract's order. The sender makes that text with msgspec, the
reader with polars, a whole frame at a time (1.7 µs a record; rows of Python objects take 12). Both write doubles as
the shortest digits that read back the same; they differ only in "1e+16" and "1e16", which `_digest` evens out.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec
import polars as pl

from schemas.contract import RecordType

DIGEST_BYTES = 8
Fields = Mapping[str, Any]

_encode = msgspec.json.Encoder().encode
_sorted = msgspec.json.Encoder(order="sorted").encode


class Content:
    """Digests of the uploads of one record type."""

    def __init__(self, record: RecordType) -> None:
        sent = {name: field for name, field in record.fields.items() if field.get("origin") != "server"}
        self._names = tuple(sent)
        # Fields that are a JSON object in the upload and its text in the log.
        self._objects = frozenset(name for name, field in sent.items() if field.get("format") == "json-object")

    def digest(self, fields: Fields) -> int:
        """Digest of an upload's fields: all that a device sends (nulls too), doubles as floats, timestamps as
        microseconds, in the contract's order below the top.

        Raises:
            KeyError: a field is missing.
        """
        ordered = {name: fields[name] for name in self._names}
        for name in self._objects:
            ordered[name] = _canonical(fields[name])
        return _digest(_encode(ordered))

    def digests(self, frame: pl.DataFrame) -> pl.Series:
        """The digests (UInt64) of records as decoded from the log (ColumnDecoder), in the frame's order."""
        columns = [
            pl.col(name).map_elements(_canonical_text, pl.String) if name in self._objects else pl.col(name)
            for name in self._names
        ]
        texts = frame.select(pl.struct(columns).struct.json_encode().alias("text"))["text"]
        return pl.Series("digest", [_digest(text.encode()) for text in texts], pl.UInt64)


def _canonical(value: Fields) -> str:
    return _sorted(value).decode()


def _canonical_text(text: str) -> str:
    return _canonical(msgspec.json.decode(text))


def _digest(text: bytes) -> int:
    return int.from_bytes(blake2b(text.replace(b"e+", b"e"), digest_size=DIGEST_BYTES).digest(), "big")
