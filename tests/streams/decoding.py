"""A decoder of JSON records in place of the Avro one, so that these tests are about the carrier alone."""

from collections.abc import Sequence
from typing import Any

import msgspec
import polars as pl

from schemas.columns import Columns, Fault
from tests.projections.records import SCHEMAS

BAD = b"\xffnot a record"


class JsonDecoder:
    def __init__(self, topic: str) -> None:
        self._schema = SCHEMAS[topic]

    def decode(self, values: Sequence[bytes | None]) -> Columns:
        good: list[tuple[int, dict[str, Any]]] = []
        faults = []
        for index, value in enumerate(values):
            if value is None or value == BAD:
                faults.append(Fault(index, "undecodable", "told so"))
            else:
                good.append((index, msgspec.json.decode(value)))
        frame = pl.DataFrame([record for _, record in good], schema=self._schema)
        return Columns(frame.insert_column(0, pl.Series("index", [i for i, _ in good], pl.UInt32)), tuple(faults))


def encode(record: dict[str, Any]) -> bytes:
    return msgspec.json.encode(record)
