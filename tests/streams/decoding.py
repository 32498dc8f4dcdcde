"""A decoder of JSON records in place of the Avro one, so that these tests are about the carrier alone."""

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from schemas.columns import Columns, Fault, Rows
from tests.projections.records import SCHEMAS

BAD = b"\xffnot a record"


class JsonDecoder:
    def __init__(self, topic: str) -> None:
        self._schema = SCHEMAS[topic]
        self.small = 3

    def rows(self, values: Sequence[bytes | None]) -> Rows:
        good: list[tuple[int, dict[str, Any]]] = []
        faults = []
        for index, value in enumerate(values):
            if value is None or value == BAD:
                faults.append(Fault(index, "undecodable", "told so"))
            else:
                good.append((index, msgspec.json.decode(value)))
        return Rows(tuple(good), tuple(faults))

    def decode(self, values: Sequence[bytes | None]) -> Columns:
        read = self.rows(values)
        frame = pl.DataFrame([record for _, record in read.rows], schema=self._schema)
        return Columns(frame.insert_column(0, pl.Series("index", [i for i, _ in read.rows], pl.UInt32)), read.faults)


def encode(record: dict[str, Any]) -> bytes:
    return msgspec.json.encode(record)
