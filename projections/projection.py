"""What a view's definition is. A projection is declared once, as data and pure functions, and is run live, rebuilt and
verified by the same code (streams/).

A projection sees records as frames: a row per record with the columns of its record type, and before them `topic`,
`partition` and `offset`. It knows no clock, no store and no log.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from projections.updates import Update, merge
from schemas.log import Batch
from schemas.table import Table

KEY = "__key"
"""The column of a document's key."""

Summary = Mapping[str, Mapping[str, Update]]
"""What a batch changes: key -> field -> update."""

Row = Mapping[str, Any]
"""A record as a frame has it, without the columns of other record types."""


@dataclass(frozen=True, slots=True)
class KeyedProjection:
    """A view of one document per key.

    `keyed(topic, frame)` says which documents a frame of records touches: a row for each record and document, with the
    document's key in the column KEY; a record that touches none is left out. `summarize(topic, keyed)` turns such rows
    into the updates of their keys. Updates commute (see projections.updates), so a key that several topics or partitions
    touch ends in one state whatever their interleaving. Every document has in `position.TOPIC/PARTITION` the offset of
    the last record that touched it.

    `each(topic, row)` says the same of one record, a document at a time: small batches are folded by it, as a call on a
    frame costs as much as a dozen of records. `records`: topic -> the record types that touch documents, where not all do.

    `counters`: field of a document -> the topic whose records that touched the document it counts.

    `key`: what a document is of.

    `partitions`: of the view's topics (schemas/topics.toml); the documents' hashes are kept by them (projections.canonical).

    `parks`: whether later records of a key wait for one that was set aside (streams.parking). With updates that commute they
    need not: a record that is corrected is folded late at its own place, and the state is the same.

    A change of what the fold yields must raise `revision`.
    """

    name: str
    topics: tuple[str, ...]
    summarize: Callable[[str, pl.DataFrame], Summary]
    keyed: Callable[[str, pl.DataFrame], pl.DataFrame]
    each: Callable[[str, Row], Iterable[tuple[str, Mapping[str, Update]]]]
    counters: Mapping[str, str]
    records: Mapping[str, frozenset[str]] = field(default_factory=dict)
    partitions: int = 6
    key: str = "device"
    parks: bool = False
    revision: int = 1

    def summary(self, topic: str, records: pl.DataFrame | Sequence[Row]) -> Summary:
        """What records of one partition of `topic` change, as a frame or as rows."""
        if isinstance(records, pl.DataFrame):
            return self.summarize(topic, self.keyed(topic, records))
        parts: dict[str, list[Mapping[str, Update]]] = {}
        for row in records:
            for key, updates in self.each(topic, row):
                parts.setdefault(key, []).append(updates)
        return {key: merge(part) for key, part in parts.items()}


@dataclass(frozen=True, slots=True)
class RowProjection:
    """A view of rows: `rows(frame)` gives the rows of a frame of records, with the columns of `table`."""

    name: str
    topics: tuple[str, ...]
    table: Table
    rows: Callable[[pl.DataFrame], pl.DataFrame]
    revision: int = 1


Projection = KeyedProjection | RowProjection


def with_position(frame: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    """`frame` (whose column `index` is the record's place in `batch`) with topic, partition and offset before its
    columns and without `index`."""
    index = pl.col("index").cast(pl.Int64)
    if isinstance(batch.offsets, range):
        offset = index + batch.offsets.start
    else:
        offset = pl.lit(pl.Series("offsets", batch.offsets, pl.Int64)).gather(index)
    return frame.select(
        pl.lit(batch.source.topic).alias("topic"),
        pl.lit(batch.source.partition, pl.Int64).alias("partition"),
        offset.alias("offset"),
        pl.all().exclude("index"),
    )


def rows_with_position(rows: Iterable[tuple[int, Row]], batch: Batch) -> list[Row]:
    """Records, each with its place in `batch`, with topic, partition and offset."""
    topic, partition = batch.source
    offsets = batch.offsets
    return [{"topic": topic, "partition": partition, "offset": offsets[index], **row} for index, row in rows]
