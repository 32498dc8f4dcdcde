"""Replay: the records of a topic between two points, those that a condition holds of, at a bounded rate."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from connectors.whole_log import WholeLog
from schemas.archive.records import Records
from schemas.columns import INDEX
from schemas.expressions import Condition
from schemas.log import TopicPartition
from schemas.record_columns import BatchDecoder

FIRST_OF_TIME, LAST_OF_TIME = -(2**62), 2**62
PACED = 500  # records that are handed on together where there is a rate


class OutOfRange(ValueError):
    """The log and the archive hold nothing there; the message names what they hold."""


@dataclass(frozen=True, slots=True)
class Span:
    """Records to replay: of `partitions` (all if empty), with first <= offset < stop where given, and with
    since <= timestamp < until (milliseconds since 1970)."""

    partitions: tuple[int, ...] = ()
    first: int | None = None
    stop: int | None = None
    since: int = FIRST_OF_TIME
    until: int = LAST_OF_TIME

    @property
    def timed(self) -> bool:
        return self.since != FIRST_OF_TIME or self.until != LAST_OF_TIME


@dataclass(slots=True)
class Tally:
    """Records in the span, those that were handed on, those that can't be decoded, and why the first of them can't."""

    read: int = 0
    passed: int = 0
    broken: int = 0
    unclear: int = 0
    first_broken: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Records that are replayed, and where they were decoded their rows, one each: the columns of the topic's decoder behind
    those of the position (schemas.expressions.POSITION)."""

    records: Records
    frame: pl.DataFrame | None


def ranges(log: WholeLog, topic: str, span: Span) -> list[tuple[TopicPartition, int, int]]:
    """From where to where each partition is read.

    Raises:
        OutOfRange: there is no such partition, or the offsets are not there.
    """
    bounds = log.bounds([topic])
    unknown = [number for number in span.partitions if TopicPartition(topic, number) not in bounds]
    if unknown:
        raise OutOfRange(f"{topic} has {len(bounds)} partitions, no partition {unknown[0]}")
    found = []
    for source, (low, end) in sorted(bounds.items()):
        if span.partitions and source.partition not in span.partitions:
            continue
        first, stop = low if span.first is None else span.first, end if span.stop is None else span.stop
        if not low <= first <= end or stop > end:
            raise OutOfRange(f"{source} holds the offsets from {low} to {end}; asked for are those from {first} to {stop}")
        if span.since != FIRST_OF_TIME:
            first = max(first, log.offset_at(source, span.since))
        if first < stop:
            found.append((source, first, stop))
    return found


class Replay:
    """Chooses records. `decoder` is needed for a condition, and where rows are wanted."""

    def __init__(
        self, log: WholeLog, decoder: BatchDecoder | None, condition: Condition | None, report: Callable[[Tally], None]
    ) -> None:
        self._log, self._decoder, self._condition, self._report = log, decoder, condition, report
        self.tally = Tally()

    def run(self, topic: str, span: Span) -> Iterator[Chosen]:
        """The records of the span, partition by partition, in the log's order."""
        for source, first, stop in ranges(self._log, topic, span):
            for records in self._log.records(source, first, stop):
                inside = _inside(records, span)
                self.tally.read += len(inside)
                chosen = self._chosen(inside)
                self.tally.passed += len(chosen.records)
                if len(chosen.records):
                    yield chosen
                self._report(self.tally)

    def _chosen(self, records: Records) -> Chosen:
        if self._decoder is None or not len(records):
            return Chosen(records, None)
        columns = self._decoder.decode(records.values)
        for fault in columns.faults:
            self.tally.broken += 1
            place = f"{records.source}:{records.offsets[fault.index]}"
            self.tally.first_broken = self.tally.first_broken or f"{place}: {fault.reason}: {fault.detail}"
        frame = _with_position(columns.frame, records)
        if self._condition is not None:
            frame = frame.filter(pl.Series(list(self._condition.holds(frame)), dtype=pl.Boolean))
            self.tally.unclear = self._condition.unclear
        return Chosen(_at(records, frame[INDEX].to_list()), frame.drop(INDEX))


def _inside(records: Records, span: Span) -> Records:
    if not span.timed:
        return records
    return _at(records, [i for i, time in enumerate(records.timestamps) if span.since <= time < span.until])


def _at(records: Records, places: Sequence[int]) -> Records:
    """The records at these places."""
    if len(places) == len(records):
        return records
    columns = (records.offsets, records.timestamps, records.keys, records.headers, records.values)
    offsets, timestamps, keys, headers, values = ([column[place] for place in places] for column in columns)
    return Records(records.source, offsets, timestamps, keys, headers, values, records.read_from, records.read_to)  # type: ignore[arg-type]


def _with_position(frame: pl.DataFrame, records: Records) -> pl.DataFrame:
    """A decoder's frame behind columns that say where each row comes from; times in microseconds."""
    at = frame[INDEX]
    return frame.select(
        INDEX,
        pl.lit(records.source.partition, pl.Int32).alias("kafka_partition"),
        pl.Series("kafka_offset", records.offsets, pl.Int64).gather(at),
        pl.Series("kafka_timestamp", records.timestamps, pl.Int64).gather(at) * 1000,
        pl.Series("kafka_key", records.keys, pl.Binary).gather(at),
        pl.exclude(INDEX),
    )


class Pace:
    """Holds a rate: `hand_on` sleeps as long as the records so far came too fast."""

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate`: records a second; None: no limit."""
        self._rate, self._clock, self._began, self._done = rate, clock, clock(), 0

    def pieces(self, records: Records) -> Iterator[Records]:
        """The records in pieces, each of which is given when its time has come."""
        if self._rate is None:
            yield records
            return
        for start in range(0, len(records), PACED):
            piece = _at(records, range(start, min(start + PACED, len(records))))
            wait = self._began + self._done / self._rate - self._clock()
            if wait > 0:
                time.sleep(wait)
            self._done += len(piece)
            yield piece
