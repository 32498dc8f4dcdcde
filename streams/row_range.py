"""Partial rebuild of a view of rows: those of a range of the log, made anew in the live version while it goes on living.

Rows follow from their own record alone, so those of a range can be made without the others. The range is gone through chunk
by chunk (of the offsets that hashes are kept by, docs/proof.md). Where the rows that the store holds have the hash of those
that the log implies, nothing is written; elsewhere all of the chunk's rows in the range are replaced, in one step for
readers. What was made anew is as the log implies, so that the same again changes nothing, and one that dies is begun again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from connectors.chunks import Range
from connectors.rows import canonical
from connectors.whole_log import WholeLog
from projections.canonical import CHUNK, EMPTY_CHUNK, chunk_hash
from projections.projection import RowProjection, with_position
from schemas.log import TopicPartition
from schemas.row_bytes import row_hashes
from streams.replay import LAST_OF_TIME, Span, ranges
from streams.row_proof import Rows
from streams.settled import demand_settled


@dataclass(frozen=True, slots=True)
class Remade:
    """The live version, how many of its offsets were looked over, and the ranges of them whose rows were replaced."""

    version: int
    offsets: int
    replaced: tuple[Range, ...]


def ranges_of(log: WholeLog, projection: RowProjection, span: Span) -> list[Range]:
    """The range of each partition. With times it begins at the first record that is not earlier than the one, or before it
    where the archive is what knows, and ends before the first that is not earlier than the other.

    Raises:
        OutOfRange: there is no such partition, or the offsets are not there.
    """
    found = []
    for topic in projection.topics:
        for source, first, stop in ranges(log, topic, span):
            last = stop if span.until == LAST_OF_TIME else min(stop, _first_at(log, source, stop, span.until))
            if first < last:
                found.append(Range(source, first, last))
    return found


def _first_at(log: WholeLog, source: TopicPartition, end: int, moment: int) -> int:
    """The offset of the first record that is not earlier than `moment` (milliseconds since 1970), or `end`."""
    for records in log.records(source, min(end, log.offset_at(source, moment)), end):
        for offset, timestamp in zip(records.offsets, records.timestamps, strict=True):
            if timestamp >= moment:
                return offset
    return end


def remake(
    rows: Rows,
    wanted: Sequence[Range],
    corrections: int,
    size: int = CHUNK,
    tell: Callable[[int], None] = lambda offsets: None,
) -> Remade:
    """Make the rows of some ranges, as far as the version has come to them, what the log implies under the version's
    corrections, which are those before the offset `corrections`. `tell` is called with the offsets done.

    Raises:
        Unsettled: other corrections were brought in meanwhile; the same again is right.
        ValueError: the log does not reach back to there, or the version's table is of before rows could be replaced.
        Superseded: the version was dropped.
    """
    positions, kept = rows.store.positions(rows.version), rows.chunks.sealed(rows.version)
    offsets, replaced = 0, []
    for source, start, stop in wanted:
        for number, part in _parts(Range(source, start, min(stop, positions.get(source, 0))), size):
            implied, sealed = _implied(rows, part), kept.get(source, {}).get(number)
            held = rows.chunks.computed(rows.version, part, size).get(number, EMPTY_CHUNK)
            if held != chunk_hash(row_hashes(rows.projection.table, implied.iter_rows())):
                demand_settled(rows.store, rows.version, corrections)
                rows.store.amend(rows.version, source, part.start, part.stop, implied)
                demand_settled(rows.store, rows.version, corrections)  # else a redrive may have been undone just now
                replaced.append(part)
            if sealed is not None:
                _seal_anew(rows, source, number, sealed, size)
            offsets += part.stop - part.start
            tell(part.stop - part.start)
    return Remade(rows.version, offsets, tuple(replaced))


def _parts(of: Range, size: int) -> Iterator[tuple[int, Range]]:
    """A range cut at the edges of chunks, with their numbers."""
    for number in range(of.start // size, -(-of.stop // size)):
        part = Range(of.source, max(of.start, number * size), min(of.stop, (number + 1) * size))
        if part.start < part.stop:
            yield number, part


def _implied(rows: Rows, part: Range) -> pl.DataFrame:
    """The rows that records imply, as a store takes them."""
    table, source = rows.projection.table, part.source
    frames = [canonical(table, source, part.start, part.stop, pl.DataFrame(schema=dict.fromkeys(table.names, pl.Null)))]
    for batch in rows.log.read(source, part.start, part.stop):
        decoded = rows.decoders[source.topic].decode(batch.values).frame
        if len(decoded):
            made = rows.projection.rows(with_position(decoded, batch))
            frames.append(canonical(table, source, part.start, part.stop, made))
    return pl.concat(frames)


def _seal_anew(rows: Rows, source: TopicPartition, number: int, sealed: bytes, size: int) -> None:
    """Work out the hash that is kept of a chunk, which may be of other rows."""
    whole = Range(source, number * size, (number + 1) * size)
    hashed = rows.chunks.computed(rows.version, whole, size).get(number, EMPTY_CHUNK)
    if hashed != sealed:
        rows.chunks.seal(rows.version, source, {number: hashed})
