"""Stretches of the log as frames that say when each record happened and was received: what snapshots and as-of fold."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from connectors.ports import LogReader
from connectors.view_snapshots import Span
from projections.as_of import Moment, timed
from projections.projection import with_position
from schemas.log import Batch, TopicPartition
from schemas.record_columns import BatchDecoder

GROUP = 200_000
"""Records that are folded at once: the cost of a fold is one of the documents that it touches, however often."""

Wanted = Callable[[bytes | None, bytes | None], bool]
"""Whether a record of this key and value is to be decoded."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring records of a partition: [start, stop), as batches and as a timed frame."""

    source: TopicPartition
    start: int
    stop: int
    frame: pl.DataFrame
    batches: Sequence[Batch]

    def keys(self) -> pl.DataFrame:
        """The keys that the records have in the log (`__raw`), by offset."""
        offsets = [offset for batch in self.batches for offset in batch.offsets]
        return pl.DataFrame({"offset": offsets, "__raw": [key for batch in self.batches for key in batch.keys]}, schema=KEYS)


KEYS = {"offset": pl.Int64, "__raw": pl.Binary}


class Frames:
    """Reads frames. `read` counts the records that were read, decoded or not."""

    def __init__(self, log: LogReader, decoders: Mapping[str, BatchDecoder]) -> None:
        self._log, self._decoders = log, decoders
        self.read = 0

    def stretches(self, source: TopicPartition, start: int, stop: int) -> Iterator[Stretch]:
        """All records of [start, stop), some 200,000 at a time. Raises ValueError: the log begins later."""
        batches: list[Batch] = []
        size, following = 0, start
        for batch in self._log.read(source, start, stop):
            batches.append(batch)
            size += len(batch)
            if size >= GROUP:
                yield self._stretch(batches, following)
                following, batches, size = batches[-1].following, [], 0
        if batches:
            yield self._stretch(batches, following)

    def chosen(self, source: TopicPartition, start: int, stop: int, wanted: Wanted) -> pl.DataFrame:
        """The records of [start, stop) that are wanted, as one timed frame. Others are not decoded."""
        offsets: list[int] = []
        values: list[bytes | None] = []
        for batch in self._log.read(source, start, stop):
            self.read += len(batch)
            for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
                if wanted(key, value):
                    offsets.append(offset)
                    values.append(value)
        return self._frame(Batch(source, offsets, [None] * len(offsets), values))

    def _stretch(self, batches: list[Batch], start: int) -> Stretch:
        self.read += sum(map(len, batches))
        frame = pl.concat([self._frame(batch) for batch in batches])
        return Stretch(batches[0].source, start, batches[-1].following, frame, batches)

    def _frame(self, batch: Batch) -> pl.DataFrame:
        """Records that can't be decoded are left out, as in a rebuild."""
        return timed(with_position(self._decoders[batch.source.topic].decode(batch.values).frame, batch))


def unskipped(spans: tuple[Span, ...], start: int, stop: int, moment: Moment) -> Iterator[tuple[int, int]]:
    """What is to be read of [start, stop): not the spans in which nothing had happened or was received by then."""
    at = start
    for span in spans[bisect_left(spans, start, key=lambda one: one.start) :]:
        if span.stop <= stop and (span.event > moment.at or span.received > moment.known):
            if at < span.start:
                yield at, span.start
            at = span.stop
    if at < stop:
        yield at, stop
