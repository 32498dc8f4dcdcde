"""The rows of a view as of a time: those of the records that happened by T and were received by K, from the log.

The log and not the view's table, although that is slower: what the table holds is the log's as far as it has been folded,
but not all tables have both times, and none says how far it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import dropwhile
from typing import Any, NamedTuple

import polars as pl

from connectors.ports import LogReader
from projections.as_of import EVENT, RECEIVED, Moment, counting, timed
from projections.projection import RowProjection, with_position
from schemas.log import Batch, TopicPartition
from schemas.record_columns import BatchDecoder
from streams.snapshotting import LogTooShort

DEVICE = "device_id"
"""The key that is a field of every record of its views, as it is: a value without its bytes is of another device."""


class Place(NamedTuple):
    """Where rows go on: at an offset of a partition."""

    source: TopicPartition
    offset: int

    def __str__(self) -> str:
        return f"{self.source}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The reverse of `str`. Raises ValueError."""
        source, colon, offset = text.rpartition(":")
        if not colon or not offset.isdecimal():
            raise ValueError(f"not a TOPIC/PARTITION:OFFSET: {text[:300]!r}")
        return cls(TopicPartition.parse(source), int(offset))


@dataclass(frozen=True, slots=True)
class RowsAsOf:
    """One view of rows as of times. For one thread at a time."""

    projection: RowProjection
    log: LogReader
    decoders: Mapping[str, BatchDecoder]

    def frames(
        self, moment: Moment, key: str | None = None, begin: Place | None = None
    ) -> Iterator[tuple[Place, pl.DataFrame]]:
        """The rows in the order of partitions and offsets, a frame for each batch of the log, with the place behind it;
        `key`: of this key alone.

        Raises:
            Away: the broker does not answer.
            LogTooShort: retention removed records that may count.
            ValueError: the view reads nothing where `begin` is.
        """
        bounds = self.log.bounds(self.projection.topics)
        for source, (low, _) in bounds.items():
            if low > 0:
                raise LogTooShort(f"{source}: the log begins at offset {low}; what came before it can't be told any more")
        if begin is not None and begin.source not in bounds:
            raise ValueError(f"{begin}: {self.projection.name} does not read {begin.source}")
        sources = dropwhile(lambda source: begin is not None and source != begin.source, bounds)
        for source in sources:
            start = begin.offset if begin is not None and source == begin.source else 0
            for batch in self.log.read(source, start, bounds[source][1]) if start <= bounds[source][1] else ():
                yield Place(source, batch.following), self._rows(batch, moment, key)

    def page(
        self, moment: Moment, key: str | None, begin: Place | None, most: int
    ) -> tuple[list[dict[str, Any]], Place | None]:
        """About `most` rows (of a whole number of records, one at least), and where the next ones begin; None: nowhere."""
        found: list[dict[str, Any]] = []
        for place, rows in self.frames(moment, key, begin):
            taken = rows.head(most - len(found))
            if taken.height < rows.height:
                last = int(rows.item(max(taken.height - 1, 0), "offset"))
                return found + rows.filter(pl.col("offset") <= last).to_dicts(), Place(place.source, last + 1)
            found += rows.to_dicts()
            if len(found) == most:
                return found, place
        return found, None

    def _rows(self, batch: Batch, moment: Moment, key: str | None) -> pl.DataFrame:
        if key is not None and self.projection.table.key == DEVICE:
            batch = _holding(batch, key.encode())
        columns = self._timed(batch)
        rows = self.projection.rows(counting(columns, moment).drop(EVENT, RECEIVED))
        return rows if key is None else rows.filter(pl.col(self.projection.table.key) == key)

    def _timed(self, batch: Batch) -> pl.DataFrame:
        return timed(with_position(self.decoders[batch.source.topic].decode(batch.values).frame, batch))


def _holding(batch: Batch, key: bytes) -> Batch:
    """The records whose values hold these bytes."""
    places = [at for at, value in enumerate(batch.values) if value is not None and key in value]
    offsets, values = [batch.offsets[at] for at in places], [batch.values[at] for at in places]
    return Batch(batch.source, offsets, [None] * len(offsets), values)
