"""What a view's definition is. A projection is declared once, as data and pure functions, and is run live, rebuilt and
verified by the same code (streams/).

A projection sees records as frames: a row per record with the columns of its record type, and before them `topic`,
`partition` and `offset`. It knows no clock, no store and no log.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from projections.updates import Update
from schemas.log import Batch
from schemas.table import Table

KEY = "__key"
"""The column of a document's key."""

Summary = Mapping[str, Mapping[str, Update]]
"""What a batch changes: key -> field -> update."""


@dataclass(frozen=True, slots=True)
class KeyedProjection:
    """A view of one document per key.

    `keyed(topic, frame)` says which documents a frame of records touches: a row for each record and document, with the
    document's key in the column KEY; a record that touches none is left out. `summarize(topic, keyed)` turns such rows
    into the updates of their keys. Updates commute (see projections.updates), so a key that several topics or partitions
    touch ends in one state whatever their interleaving. Every document has in `position.TOPIC/PARTITION` the offset of
    the last record that touched it.

    `counters`: field of a document -> the topic whose records that touched the document it counts.

    `key`: what a document is of.

    `partitions`: of the view's topics (schemas/topics.toml); the documents' hashes are kept by them (projections.canonical).

    A change of what the fold yields must raise `revision`.
    """

    name: str
    topics: tuple[str, ...]
    summarize: Callable[[str, pl.DataFrame], Summary]
    keyed: Callable[[str, pl.DataFrame], pl.DataFrame]
    counters: Mapping[str, str]
    partitions: int = 6
    key: str = "device"
    revision: int = 1

    def summary(self, topic: str, frame: pl.DataFrame) -> Summary:
        """What a frame of records of one partition of `topic` changes."""
        return self.summarize(topic, self.keyed(topic, frame))


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
