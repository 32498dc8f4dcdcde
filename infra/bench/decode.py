"""How fast a batch of telemetry becomes columns, checked against the contract; beside fastavro and bare polars."""

import io
import time
from collections.abc import Callable
from typing import Any

import fastavro
import polars as pl

from infra.bench.report import Figures
from infra.bench.topic import Fleet, blocks
from schemas.codec import parsed
from schemas.columns import ColumnDecoder
from schemas.contract import load
from schemas.wire import PREFIX_BYTES

BATCH = 10_000  # records, as the carrier hands them on
TOPIC = "fleet.telemetry"
FEWEST_RUNS = 3

ABOUT = """\
A batch of 10,000 telemetry records (three readings each) in memory becomes columns, checked against the contract. Beside
it:

- `fastavro`: decodes record by record into dicts, and checks nothing;
- `polars.read_avro`: the limit, joins the bodies to one block and reads it: what the decoder stands on, without the proof
  that each record is sound and within bounds.

Rates are the best of many runs in one process."""


def run(seconds: float) -> dict[str, Any]:
    """Measure each contestant for about `seconds`, one after the other."""
    record = load().topics[TOPIC].record
    values = [value for block in blocks(Fleet(records=BATCH, devices=1_000)) for _, value in block]
    columns = ColumnDecoder(record, lambda _: record.schema)
    schema = parsed(record.schema)
    contestants: dict[str, Callable[[], int]] = {
        "ours": lambda: columns.decode(values).frame.height,
        "fastavro": lambda: _one_by_one(values, schema),
        "polars": _bare_polars(values, record.schema),
    }
    rates = {name: _rate(decode, seconds) for name, decode in contestants.items()}
    return Figures(
        bench="decode",
        ours=rates["ours"],
        peers={"fastavro": rates["fastavro"]},
        limits={"polars.read_avro": rates["polars"]},
        about=ABOUT,
        detail={"records": BATCH},
    ).result()


def _rate(decode: Callable[[], int], seconds: float) -> float:
    """Records per second of the fastest run: the one that the rest of the machine disturbed least."""
    best = float("inf")
    until = time.perf_counter() + seconds
    runs = 0
    while runs < FEWEST_RUNS or time.perf_counter() < until:
        start = time.perf_counter()
        count = decode()
        best = min(best, time.perf_counter() - start)
        runs += 1
        if count != BATCH:
            raise AssertionError(f"decoded {count} records of {BATCH}")
    return BATCH / best


def _one_by_one(values: list[bytes], schema: Any) -> int:
    """Each record is let go at once: keeping them all would measure Python's garbage collector."""
    for value in values:
        fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), schema)
    return len(values)


def _bare_polars(values: list[bytes], schema: dict[str, Any]) -> Callable[[], int]:
    """Reads an Avro file with one block of all bodies; making the block is part of it."""
    empty = io.BytesIO()
    fastavro.writer(empty, parsed(schema), [], sync_marker=bytes(16))
    header = empty.getvalue()

    def decode() -> int:
        body = b"".join([value[PREFIX_BYTES:] for value in values])
        size = io.BytesIO()
        fastavro.schemaless_writer(size, "long", len(values))
        fastavro.schemaless_writer(size, "long", len(body))
        return pl.read_avro(io.BytesIO(b"".join((header, size.getvalue(), body, bytes(16))))).height

    return decode
