"""Reading the log, once and from its beginning."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import polars as pl

from connectors.ports import Away, LogReader
from infra.reconcile.facts import KINDS, LOGGED_ROWS, POSITION_ROWS, Bounds, Journal, registrations
from infra.reconcile.held import Documents
from infra.reconcile.view_check import EXPECTED_ROWS
from infra.simulator.content import Content
from infra.simulator.journal import RECORDS, Kind
from schemas.contract import RecordType
from schemas.log import Batch, TopicPartition
from schemas.record_columns import RECORD, BatchDecoder

T = TypeVar("T")
ATTEMPTS = 3


class Moving(Exception):
    """What is compared changed while it was read: retention cut the log, or another version of a view went live."""


def unmoved(compare: Callable[[], T]) -> T:
    """What a comparison gives of which nothing changed while it was read.

    Raises:
        Away: something changed each time.
    """
    changed = ""
    for _ in range(ATTEMPTS):
        try:
            return compare()
        except Moving as moving:
            changed = str(moving)
    raise Away(f"what is compared changed {ATTEMPTS} times while it was read; at last: {changed}")


@dataclass
class Log:
    """The log, read once. `logged`: LOGGED_ROWS; `faulty`: POSITION_ROWS; `documents`: per view of documents the
    EXPECTED_ROWS that it must hold."""

    logged: pl.DataFrame
    faulty: pl.DataFrame
    documents: dict[str, pl.DataFrame] = field(default_factory=dict)


class LogGatherer:
    """Reads the log of the device topics and notes what the comparisons need of it: about 40 bytes a record."""

    def __init__(
        self,
        log: LogReader,
        decoders: Mapping[str, BatchDecoder],
        records: Mapping[str, RecordType],
        journal: Journal,
        documents: Mapping[str, Documents],
        letters: pl.DataFrame,
    ) -> None:
        """`decoders` and `records` are by topic, `documents` by view; `letters` as `dead_letters` gives them."""
        self._log, self._decoders, self._documents, self._letters = log, decoders, documents, letters
        self._contents = {topic: Content(record) for topic, record in records.items()}
        self._boots = journal.boots
        self._registered = registrations(journal)
        self._logged: list[pl.DataFrame] = [pl.DataFrame(schema=LOGGED_ROWS)]
        self._faulty: list[pl.DataFrame] = [pl.DataFrame(schema=POSITION_ROWS)]
        self._counted: dict[str, list[pl.DataFrame]] = {view: [] for view in documents}

    def read(self, bounds: Bounds) -> Log:
        """The records in `bounds`, and of later ones those that documents already hold.

        Raises:
            Away: the broker or the registry does not answer.
            Moving: the log no longer holds the records in `bounds`.
        """
        for source, (first, end) in bounds.items():
            self._source(source, first, end)
        counted = {
            view: pl.concat([pl.DataFrame(schema=EXPECTED_ROWS), *parts])
            .group_by("device_id", "counter")
            .agg(pl.col("records", "set_aside").sum())
            for view, parts in self._counted.items()
        }
        return Log(pl.concat(self._logged), pl.concat(self._faulty), counted)

    def _source(self, source: TopicPartition, first: int, end: int) -> None:
        held = {view: self._held(view, source, end) for view in self._documents}
        highest = max([end, *(_furthest(part.cuts, part.floor) for part in held.values())])
        if highest > end:  # a document can't hold what the log does not; if it says so, its count shows it
            highest = min(highest, self._log.bounds([source.topic])[source][1])
        for batch in self._batches(source, first, highest):
            decoded = self._decoders[source.topic].decode(batch.values)
            frame = _of_devices(_with_offsets(decoded.frame, batch))
            faults = [batch.offsets[fault.index] for fault in decoded.faults if batch.offsets[fault.index] < end]
            self._note_faults(source, faults)
            self._note_records(source, frame.filter(pl.col("offset") < end))
            for view, part in held.items():
                self._counted[view].append(_folded(frame, source.topic, part))

    def _held(self, view: str, source: TopicPartition, end: int) -> "_Held":
        documents = self._documents[view]
        cuts = _of(source, documents.stamps).select("device_id", "following")
        letters = _of(source, self._letters.filter(pl.col("view") == view))
        # Up to `end` whatever the view says of itself: a view that was emptied, or that halted, has lost records.
        return _Held(cuts, max(end, documents.positions.get(source, 0)), letters["offset"])

    def _batches(self, source: TopicPartition, first: int, stop: int) -> Iterator[Batch]:
        try:
            yield from self._log.read(source, first, stop)
        except ValueError:
            oldest = self._log.bounds([source.topic])[source][0]
            if oldest > first:
                raise Moving(f"{source}: the log was cut from offset {first} to {oldest}") from None
            raise

    def _note_faults(self, source: TopicPartition, offsets: Iterable[int]) -> None:
        kind = KINDS[source.topic]
        rows = [(kind, source.partition, offset) for offset in offsets]
        if rows:
            self._faulty.append(pl.DataFrame(rows, POSITION_ROWS, orient="row"))

    def _note_records(self, source: TopicPartition, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        kind = KINDS[source.topic]
        if kind == Kind.REGISTRATION:
            named = frame.join(self._registered, on="device_id", how="left", maintain_order="left")
            named = named.with_columns(pl.lit(0, pl.Int64).alias("sequence"))
        else:
            named = frame.join(self._boots, on=("device_id", "boot_id"), how="left", maintain_order="left")
        rows = pl.col("readings").list.len() if kind == Kind.TELEMETRY else pl.lit(1)
        self._logged.append(
            named.select(
                pl.lit(kind, pl.UInt8).alias("kind"),
                pl.lit(source.partition, pl.Int32).alias("partition"),
                "offset",
                "boot",
                "sequence",
                self._contents[source.topic].digests(frame),
                rows.cast(pl.UInt32).alias("rows"),
            )
        )


def _of_devices(frame: pl.DataFrame) -> pl.DataFrame:
    """The records that devices make: on a topic of several record types, those that RECORDS names."""
    return frame.filter(pl.col(RECORD).is_in(list(RECORDS.values()))) if RECORD in frame.columns else frame


def _with_offsets(frame: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    offsets = pl.Series("offset", batch.offsets, pl.Int64)
    return frame.with_columns(offsets.gather(frame["index"]))


@dataclass(frozen=True)
class _Held:
    """Which records of a partition the documents of a view must hold: those before `floor`, and of a device in `cuts`
    (device_id, following) those before `following`. `letters`: offsets that the view set aside."""

    cuts: pl.DataFrame
    floor: int
    letters: pl.Series


def _of(source: TopicPartition, positions: pl.DataFrame) -> pl.DataFrame:
    return positions.filter((pl.col("topic") == source.topic) & (pl.col("partition") == source.partition))


def _furthest(cuts: pl.DataFrame, floor: int) -> int:
    following = cuts["following"].max()
    return max(floor, following if isinstance(following, int) else 0)


def _folded(frame: pl.DataFrame, topic: str, held: _Held) -> pl.DataFrame:
    """EXPECTED_ROWS of the records that the documents must hold."""
    return (
        frame.select("device_id", "offset")
        .join(held.cuts, on="device_id", how="left")
        .filter((pl.col("offset") < held.floor) | (pl.col("offset") < pl.col("following")))
        .group_by("device_id")
        .agg(pl.len().cast(pl.Int64).alias("records"), pl.col("offset").is_in(held.letters.implode()).sum().alias("aside"))
        .select("device_id", pl.lit(topic).alias("counter"), "records", pl.col("aside").cast(pl.Int64).alias("set_aside"))
    )


def dead_letters(log: LogReader, decoder: BatchDecoder, topic: str) -> pl.DataFrame:
    """What was set aside: `view`, `topic` and POSITION_ROWS; each once. Letters of topics that no view is reconciled of, and
    what does not decode, are left out: a record whose letter is lost shows as lost."""
    kinds = pl.DataFrame(
        {"topic": list(KINDS), "kind": [int(kind) for kind in KINDS.values()]}, {"topic": pl.String, "kind": pl.UInt8}
    )
    place = (pl.col("partition").cast(pl.Int32), pl.col("offset").cast(pl.Int64))
    parts = [pl.DataFrame(schema={"view": pl.String(), "topic": pl.String(), **POSITION_ROWS})]
    for source, (first, end) in log.bounds([topic]).items():
        for batch in log.read(source, first, end):
            letters = decoder.decode(batch.values).frame.join(kinds, on="topic")
            parts.append(letters.select("view", "topic", "kind", *place))
    return pl.concat(parts).unique()
