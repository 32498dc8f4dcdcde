"""The views of registrations, certificates and security events against the log, and the registration events against the
ledger: whoever wrote them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any, cast

import polars as pl

from connectors.ports import KeyedStore, LogReader, RowStore
from infra.reconcile import gather, held
from infra.reconcile.corrected import CorrectedLogs, CorrectionsUntil, demand_unmoved, noted
from infra.reconcile.facts import KINDS, POSITION, POSITION_ROWS, Bounds
from infra.reconcile.lifecycle_check import STATEMENTS, LifecycleVerdict, check_entered, check_statements
from infra.reconcile.reconcile import DEAD_LETTERS, View
from infra.reconcile.registration_check import RECORDED_ROWS
from infra.reconcile.registration_facts import EVENTS, LEDGER
from infra.reconcile.view_check import EXPECTED_ROWS, ViewVerdict, check_documents, check_rows
from projections.certificates import ISSUED
from projections.projection import KEY, KeyedProjection, with_position
from schemas.columns import ColumnDecoder
from schemas.contract import Contract, Schema
from schemas.log import TopicPartition
from schemas.record_columns import RECORD, BatchDecoder, decoder_of

OFFSET = "offset"


@dataclass
class _Read:
    """A topic as it was read: POSITION_ROWS of its records and of those that do not decode; per view of documents the
    records that touch them: KEY, their position and the columns of its statement. `log`: what it is read from."""

    log: LogReader
    logged: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=POSITION_ROWS)])
    faulty: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=POSITION_ROWS)])
    touched: list[pl.DataFrame] = field(default_factory=list)


class LifecycleReconciliation:
    """Gathers and compares; one use each."""

    def __init__(
        self,
        views: Mapping[str, View],
        log: LogReader,
        contract: Contract,
        schema_of: Callable[[int], Schema],
        corrections_until: CorrectionsUntil,
    ) -> None:
        """Each view is of one topic; a view of documents has a statement (STATEMENTS). `log` as it lies; each view is
        compared with the log as it counts there."""
        self._logs = CorrectedLogs(log, corrections_until)
        self._views, self._log = views, log
        topics = {EVENTS, LEDGER, *(topic for view in views.values() for topic in view.projection.topics)}
        self._decoders = {topic: decoder_of(contract.topics[topic], schema_of) for topic in sorted(topics)}
        self._letters = ColumnDecoder(contract.topics[DEAD_LETTERS].record, schema_of)

    def run(self, wait: float) -> LifecycleVerdict:
        """Wait up to `wait` seconds for the views to come to the log's end of now, then compare.

        Raises:
            Away: the broker, the registry or a store does not answer; or what is compared changes again and again.
            NotANumber: a document counts in words.
        """
        return gather.unmoved(lambda: self._compare(wait))

    def _compare(self, wait: float) -> LifecycleVerdict:
        # The ledger's end is looked up last: a certificate is entered before a device is given it.
        bounds: dict[TopicPartition, tuple[int, int]] = {}
        for topic in sorted(self._decoders, key=lambda topic: topic == LEDGER):
            bounds |= self._log.bounds([topic])
        versions = {name: view.store.live() for name, view in self._views.items()}
        ends = {name: _ends(bounds, view.projection.topics) for name, view in self._views.items()}
        positions = {name: partial(view.store.positions, versions[name]) for name, view in self._views.items()}
        behind = held.wait_for_views(positions, ends, wait)
        corrections = {name: noted(view.store, versions[name]) for name, view in self._views.items()}
        letters = gather.dead_letters(self._log, self._letters, DEAD_LETTERS)
        verdicts: dict[str, ViewVerdict] = {}
        for name, view in self._views.items():
            until = corrections[name]
            own = self._logs.letters(until, letters.filter(pl.col("view") == name))
            read = _Read(self._logs.log(until))
            verdict = self._view(view, versions[name], _of(bounds, view.projection.topics), own, read)
            verdicts[name] = replace(verdict, behind=behind.get(name, 0))
            demand_unmoved(name, view.store, versions[name], until)
        recorded, entered = (self._certificates(topic, bounds) for topic in (EVENTS, LEDGER))
        missing = check_entered(recorded, entered)
        return LifecycleVerdict(verdicts, recorded["serial"].n_unique() - missing.count, missing)

    def _view(self, view: View, version: int, bounds: Bounds, letters: pl.DataFrame, read: _Read) -> ViewVerdict:
        if isinstance(view.projection, KeyedProjection):
            statement = STATEMENTS[view.projection.name]
            store = cast(KeyedStore, view.store)
            documents = held.read_documents(store, version, view.projection.counters, statement.of_document)
            return self._documents(view.projection, documents, bounds, letters, read)
        for source, (first, end) in bounds.items():
            for frame in self._frames(source, first, end, read):
                read.logged.append(_positions(source, frame[OFFSET]))
        counted = held.row_counts(cast(RowStore, view.store), version, bounds)
        actual = held.without_newer(counted, bounds, self._log.bounds(view.projection.topics))
        expected = pl.concat(read.logged).with_columns(pl.lit(1, pl.UInt32).alias("rows"))
        return check_rows(expected, actual, pl.concat(read.faulty), letters)

    def _documents(
        self,
        projection: KeyedProjection,
        documents: held.Documents,
        bounds: Bounds,
        letters: pl.DataFrame,
        read: _Read,
    ) -> ViewVerdict:
        statement = STATEMENTS[projection.name]
        for source, (first, end) in bounds.items():
            stamps = documents.stamps.filter(
                (pl.col("topic") == source.topic) & (pl.col("partition") == source.partition)
            ).select(pl.col("device_id").alias(KEY), "following")
            floor = max(end, documents.positions.get(source, 0))
            held_already = _Read(read.log)
            newer = self._frames(source, end, self._stop(source, floor, stamps), held_already)
            for frame in chain(self._frames(source, first, end, read), newer):
                keyed = projection.keyed(source.topic, frame).join(stamps, on=KEY, how="left", maintain_order="left")
                held_there = (pl.col(OFFSET) < floor) | (pl.col(OFFSET) < pl.col("following"))
                touched = keyed.filter(held_there).select(KEY, *statement.columns, *_place(source))
                read.touched.append(touched)
        cut = pl.DataFrame([s for s, (first, _) in bounds.items() if first > 0], PARTITION, orient="row")
        trimmed = documents.stamps.join(cut, on=list(PARTITION)).select("device_id", counter="topic")
        faulty = pl.concat(read.faulty)
        if not read.touched:
            return check_documents(pl.DataFrame(schema=EXPECTED_ROWS), documents.counted, trimmed, faulty, letters)
        touched = pl.concat(read.touched)
        verdict = check_documents(_expected(touched, letters), documents.counted, trimmed, faulty, letters)
        said = statement.of_log(touched.join(letters, on=POSITION, how="anti"))
        return replace(verdict, changed=check_statements(said, documents.said, trimmed.select("device_id")))

    def _stop(self, source: TopicPartition, floor: int, stamps: pl.DataFrame) -> int:
        following = stamps["following"].max()
        highest = max(floor, following if isinstance(following, int) else 0)
        return min(highest, self._log.bounds([source.topic])[source][1])

    def _frames(self, source: TopicPartition, first: int, end: int, read: _Read) -> Iterator[pl.DataFrame]:
        """The records of a partition that decode, with their positions; the others are noted."""
        decoder: BatchDecoder = self._decoders[source.topic]
        try:
            for batch in read.log.read(source, first, end):
                decoded = decoder.decode(batch.values)
                if decoded.faults:
                    offsets = pl.Series([batch.offsets[fault.index] for fault in decoded.faults], dtype=pl.Int64)
                    read.faulty.append(_positions(source, offsets))
                yield with_position(decoded.frame, batch)
        except ValueError:
            oldest = self._log.bounds([source.topic])[source][0]
            if oldest > first:
                raise gather.Moving(f"{source}: the log was cut from offset {first} to {oldest}") from None
            raise

    def _certificates(self, topic: str, bounds: Bounds) -> pl.DataFrame:
        """RECORDED_ROWS of the certificates that a topic speaks of."""
        wanted, found = (("CertificateRecorded",) if topic == EVENTS else ISSUED), [pl.DataFrame(schema=RECORDED_ROWS)]
        for source, (first, end) in _of(bounds, (topic,)).items():
            for frame in self._frames(source, first, end, _Read(self._log)):
                rows = frame.filter(pl.col(RECORD).is_in(wanted))
                found.append(rows.select(pl.col(name).cast(kind) for name, kind in RECORDED_ROWS.items()))
        return pl.concat(found)


PARTITION = {"topic": pl.String(), "partition": pl.Int64()}


def _of(bounds: Bounds, topics: Sequence[str]) -> Bounds:
    return {source: found for source, found in bounds.items() if source.topic in topics}


def _ends(bounds: Bounds, topics: Sequence[str]) -> dict[TopicPartition, int]:
    return {source: end for source, (first, end) in _of(bounds, topics).items() if end > first}


def _place(source: TopicPartition) -> tuple[Any, ...]:
    return (
        pl.lit(source.topic).alias("topic"),
        pl.lit(KINDS[source.topic], pl.UInt8).alias("kind"),
        pl.lit(source.partition, pl.Int32).alias("partition"),
        OFFSET,
    )


def _positions(source: TopicPartition, offsets: pl.Series) -> pl.DataFrame:
    return offsets.alias(OFFSET).to_frame().select(*_place(source)[1:])


def _expected(touched: pl.DataFrame, letters: pl.DataFrame) -> pl.DataFrame:
    """EXPECTED_ROWS of the records that touch documents."""
    aside = letters.with_columns(pl.lit(1, pl.Int64).alias("aside"))
    marked = touched.join(aside, on=POSITION, how="left").with_columns(pl.col("aside").fill_null(0))
    grouped = marked.group_by(pl.col(KEY).alias("device_id"), pl.col("topic").alias("counter"))
    return grouped.agg(pl.len().cast(pl.Int64).alias("records"), pl.col("aside").sum().alias("set_aside")).select(
        *EXPECTED_ROWS
    )
