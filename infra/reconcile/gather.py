"""Reading what is compared: the log once, from its beginning, and the views."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from connectors.ports import Away, KeyedStore, LogReader, RowStore
from infra.reconcile.facts import COUNTED_ROWS, LOGGED_ROWS, POSITION_ROWS, Journal, registrations
from infra.reconcile.view_check import DOCUMENT_ROWS
from infra.simulator.content import Content
from infra.simulator.journal import TOPICS, Kind
from projections.device_state import COUNTERS
from schemas.columns import ColumnDecoder
from schemas.contract import RecordType
from schemas.log import Batch, TopicPartition

KINDS: Mapping[str, Kind] = {topic: kind for kind, topic in TOPICS.items()}
Bounds = Mapping[TopicPartition, tuple[int, int]]
POLL_SECONDS = 0.25
COUNTED_AT_ONCE = 500_000  # offsets
STAMP = "position."
STAMP_ROWS = {"device_id": pl.String(), "topic": pl.String(), "partition": pl.Int64(), "following": pl.Int64()}


@dataclass(frozen=True)
class Documents:
    """What a view of documents says of itself.

    counted: DOCUMENT_ROWS.
    stamps: STAMP_ROWS: of each document the offset behind the newest record of a partition in it. A document that went on
        since the positions were read is compared with the log up to there.
    """

    counted: pl.DataFrame
    stamps: pl.DataFrame
    positions: Mapping[TopicPartition, int]


@dataclass
class Log:
    """The log, read once. `logged`: LOGGED_ROWS; `faulty`: POSITION_ROWS; `documents`: per view of documents the
    DOCUMENT_ROWS that it must hold."""

    logged: pl.DataFrame
    faulty: pl.DataFrame
    documents: dict[str, pl.DataFrame] = field(default_factory=dict)


def wait_for_views(
    positions: Mapping[str, Callable[[], Mapping[TopicPartition, int]]],
    ends: Mapping[str, Mapping[TopicPartition, int]],
    seconds: float,
) -> dict[str, int]:
    """Wait until every view has folded all records before its `ends`; returns for each that has not after `seconds` how
    many are missing.

    Raises:
        Away: a store did not answer, up to the last.
    """
    until = time.monotonic() + seconds
    while True:
        away: Away | None = None
        behind: dict[str, int] = {}
        for view, read in positions.items():
            try:
                stored = read()
            except Away as error:
                away = error
                continue
            missing = sum(max(0, end - stored.get(source, 0)) for source, end in ends[view].items())
            if missing:
                behind[view] = missing
        if away is None and not behind:
            return {}
        if time.monotonic() >= until:
            if away is not None:
                raise away
            return behind
        time.sleep(POLL_SECONDS)


def read_documents(store: KeyedStore, version: int) -> Documents:
    """All documents' counts and stamps; the positions are read before them.

    Raises:
        ValueError: one does not hold numbers where it should.
    """
    positions = store.positions(version)
    counters = {f"count.{name}": topic for topic, name in COUNTERS.items()}
    counts: dict[tuple[str, str], int] = {}
    stamps: dict[tuple[str, str], int] = {}
    for key, document in store.scan(version):
        for name, text in document.items():
            if name in counters:
                counts[key, counters[name]] = _number(key, name, text)
            elif name.startswith(STAMP):
                stamps[key, name.removeprefix(STAMP)] = _number(key, name, text) + 1
    parsed = [(key, *TopicPartition.parse(source), following) for (key, source), following in stamps.items()]
    return Documents(
        pl.DataFrame([(*key, count) for key, count in counts.items()], DOCUMENT_ROWS, orient="row"),
        pl.DataFrame(parsed, STAMP_ROWS, orient="row"),
        positions,
    )


def _number(key: str, name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"the document of {key} says {text!r} in {name}, which is no number") from None


class LogGatherer:
    """Reads the log of the device topics and notes what the comparisons need of it: about 40 bytes a record."""

    def __init__(
        self,
        log: LogReader,
        decoders: Mapping[str, ColumnDecoder],
        records: Mapping[str, RecordType],
        journal: Journal,
        documents: Mapping[str, Documents],
    ) -> None:
        """`decoders` and `records` are by topic, `documents` by view."""
        self._log, self._decoders, self._documents = log, decoders, documents
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
        """
        for source, (first, end) in bounds.items():
            self._source(source, first, end)
        counted = {
            view: pl.concat([pl.DataFrame(schema=DOCUMENT_ROWS), *parts])
            .group_by("device_id", "counter")
            .agg(pl.col("records").sum())
            for view, parts in self._counted.items()
        }
        return Log(pl.concat(self._logged), pl.concat(self._faulty), counted)

    def _source(self, source: TopicPartition, first: int, end: int) -> None:
        cuts = {view: _cuts(documents, source) for view, documents in self._documents.items()}
        highest = max([end, *(_furthest(self._documents[view], source, cut) for view, cut in cuts.items())])
        if highest > end:  # a document can't hold what the log does not; if it says so, its count shows it
            highest = min(highest, self._log.bounds([source.topic])[source][1])
        for batch in self._log.read(source, first, highest):
            decoded = self._decoders[source.topic].decode(batch.values)
            frame = _with_offsets(decoded.frame, batch)
            faults = [batch.offsets[fault.index] for fault in decoded.faults if batch.offsets[fault.index] < end]
            self._note_faults(source, faults)
            self._note_records(source, frame.filter(pl.col("offset") < end))
            for view, cut in cuts.items():
                floor = self._documents[view].positions.get(source, 0)
                self._counted[view].append(_folded(frame, source.topic, cut, floor))

    def _note_faults(self, source: TopicPartition, offsets: Iterable[int]) -> None:
        kind = KINDS[source.topic]
        rows = [(kind, source.partition, offset) for offset in offsets]
        if rows:
            self._faulty.append(pl.DataFrame(rows, POSITION_ROWS, orient="row"))

    def _note_records(self, source: TopicPartition, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        kind = KINDS[source.topic]
        if kind is Kind.REGISTRATION:
            named = frame.join(self._registered, on="device_id", how="left", maintain_order="left")
            named = named.with_columns(pl.lit(0, pl.Int64).alias("sequence"))
        else:
            named = frame.join(self._boots, on=("device_id", "boot_id"), how="left", maintain_order="left")
        rows = pl.col("readings").list.len() if kind is Kind.TELEMETRY else pl.lit(1)
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


def _with_offsets(frame: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    offsets = pl.Series("offset", batch.offsets, pl.Int64)
    return frame.with_columns(offsets.gather(frame["index"]))


def _cuts(documents: Documents, source: TopicPartition) -> pl.DataFrame:
    """`device_id`, `following` of the documents that hold records of a partition."""
    of_source = (pl.col("topic") == source.topic) & (pl.col("partition") == source.partition)
    return documents.stamps.filter(of_source).select("device_id", "following")


def _furthest(documents: Documents, source: TopicPartition, cut: pl.DataFrame) -> int:
    following = cut["following"].max()
    return max(documents.positions.get(source, 0), following if isinstance(following, int) else 0)


def _folded(frame: pl.DataFrame, topic: str, cut: pl.DataFrame, floor: int) -> pl.DataFrame:
    """DOCUMENT_ROWS of the records that documents must hold: those before the view's position `floor`, or before what
    the document itself says."""
    return (
        frame.select("device_id", "offset")
        .join(cut, on="device_id", how="left")
        .filter((pl.col("offset") < floor) | (pl.col("offset") < pl.col("following")))
        .group_by("device_id")
        .agg(pl.len().cast(pl.Int64).alias("records"))
        .select("device_id", pl.lit(topic).alias("counter"), "records")
    )


def row_counts(store: RowStore, version: int, bounds: Bounds) -> pl.DataFrame:
    """COUNTED_ROWS of a view of rows, within the bounds of its topics."""
    return pl.concat([pl.DataFrame(schema=COUNTED_ROWS), *_row_counts(store, version, bounds)])


def _row_counts(store: RowStore, version: int, bounds: Bounds) -> Iterator[pl.DataFrame]:
    for source, (first, end) in bounds.items():
        for start in range(first, end, COUNTED_AT_ONCE):
            counts = store.counts(version, source, start, min(end, start + COUNTED_AT_ONCE))
            yield pl.DataFrame(
                {
                    "kind": pl.repeat(KINDS[source.topic], len(counts), dtype=pl.UInt8, eager=True),
                    "partition": pl.repeat(source.partition, len(counts), dtype=pl.Int32, eager=True),
                    "offset": pl.Series(list(counts), dtype=pl.Int64),
                    "rows": pl.Series(list(counts.values()), dtype=pl.UInt32),
                }
            )


def dead_letters(log: LogReader, decoder: ColumnDecoder, topic: str) -> pl.DataFrame:
    """What was set aside: `view`, and POSITION_ROWS; each once. Letters of topics that devices do not write to, and what
    does not decode, are left out: a record whose letter is lost shows as lost."""
    kinds = pl.DataFrame(
        {"topic": list(KINDS), "kind": [int(kind) for kind in KINDS.values()]}, {"topic": pl.String, "kind": pl.UInt8}
    )
    parts = [pl.DataFrame(schema={"view": pl.String(), **POSITION_ROWS})]
    for source, (first, end) in log.bounds([topic]).items():
        for batch in log.read(source, first, end):
            letters = decoder.decode(batch.values).frame.join(kinds, on="topic")
            parts.append(letters.select("view", "kind", pl.col("partition").cast(pl.Int32), pl.col("offset").cast(pl.Int64)))
    return pl.concat(parts).unique()
