"""The carrier's core: one batch of records into one version of a view, exactly once. No Faust, no Kafka, no threads.

A runner keeps for each partition the offset that comes next. Records below it are a redelivery and are left out, a batch
that begins above it is a gap and stops the partition. Offsets without a data record (control records, aborted
transactions) are no gap: a batch says from where to where its reader read on without a break. What a batch yields is
written together with the position behind it, on the condition that the stored position is still the one the batch began
at, so that neither a crash, nor a retry, nor a second owner can lose a record or count it twice.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from threading import Lock
from typing import Protocol

import polars as pl

from connectors.ports import Change, Conflict, DeadLetter, DeadLetters, KeyedStore, Leaf, Loaded, Moved, RowStore
from projections.canonical import bucket_of, document_leaf
from projections.projection import KeyedProjection, Projection, Row, RowProjection, rows_with_position, with_position
from projections.updates import Update, changes
from schemas.columns import Fault
from schemas.log import Batch, TopicPartition
from schemas.record_columns import BatchDecoder
from streams.limits import BadRecordGauge, Limit
from streams.parking import Parking

# A document that two partitions touch at once is folded again; more often than this in a row is not contention.
MOST_CONFLICTS = 50

# Keys whose buckets a writer remembers: the hash of a key in Python takes as long as that of its document.
KEYS_REMEMBERED = 100_000


class Gap(Exception):
    """The log went on behind the view's position: records in between were never seen."""


class NotOwned(Exception):
    """A batch of a partition that was not started."""


@dataclass(frozen=True, slots=True, eq=False)
class Stand:
    """Where a partition stands in one version. Compared by identity: a partition started anew has a new one."""

    version: int
    following: int


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of a batch: records folded, records set aside, and the position now."""

    records: int
    set_aside: int
    following: int


Records = pl.DataFrame | Sequence[Row]
"""What was read of a batch, with positions: rows only for views of documents, where they are few."""


class Writer(Protocol):
    """How one kind of view is written."""

    def positions(self, version: int) -> dict[TopicPartition, int]: ...

    def waiting(self, version: int, batch: Batch, faults: Sequence[Fault]) -> Sequence[Fault]:
        """Records that are set aside because they wait for one that is at fault."""

    def write(self, version: int, batch: Batch, records: Records) -> None: ...


class KeyedWriter:
    """Writes a view of documents."""

    def __init__(self, projection: KeyedProjection, store: KeyedStore) -> None:
        self._projection, self._store = projection, store
        self._bucket_of = lru_cache(KEYS_REMEMBERED)(partial(bucket_of, partitions=projection.partitions))
        self._parking = Parking(store) if projection.parks else None

    def positions(self, version: int) -> dict[TopicPartition, int]:
        return self._store.positions(version)

    def waiting(self, version: int, batch: Batch, faults: Sequence[Fault]) -> Sequence[Fault]:
        return () if self._parking is None else self._parking.waiting(version, batch, faults)

    def write(self, version: int, batch: Batch, records: Records) -> None:
        summary = self._projection.summary(batch.source.topic, records)
        keys = list(summary)
        for attempt in range(MOST_CONFLICTS):
            loaded = self._store.load(version, keys)
            writes = {key: self._change(key, old, summary[key]) for key, old in zip(keys, loaded, strict=True)}
            try:
                self._store.commit(version, batch.source, batch.begins, batch.following, writes)
                return
            except Conflict:
                if attempt + 1 == MOST_CONFLICTS:
                    raise
            except Moved as moved:
                # An earlier try was stored although its answer was lost, or another owner folded the same records.
                if moved.actual != batch.following:
                    raise
                return

    def _change(self, key: str, old: Loaded, updates: Mapping[str, Update]) -> Change:
        put = changes(old.document, updates)
        return Change(old.revision, put, leaf=Leaf(self._bucket_of(key), document_leaf(key, {**old.document, **put})))


class RowWriter:
    """Writes a view of rows."""

    def __init__(self, projection: RowProjection, store: RowStore) -> None:
        self._projection, self._store = projection, store

    def positions(self, version: int) -> dict[TopicPartition, int]:
        return self._store.positions(version)

    def waiting(self, version: int, batch: Batch, faults: Sequence[Fault]) -> Sequence[Fault]:
        return ()

    def write(self, version: int, batch: Batch, records: Records) -> None:
        assert isinstance(records, pl.DataFrame)
        rows = self._projection.rows(records)
        try:
            self._store.append(version, batch.source, batch.begins, batch.following, rows)
        except Moved as moved:
            if moved.actual != batch.following:
                raise


def without(records: Records, offsets: Collection[int]) -> Records:
    """What was read, but for some records."""
    if isinstance(records, pl.DataFrame):
        return records.filter(~pl.col("offset").is_in(list(offsets)))
    return [row for row in records if row["offset"] not in offsets]


def writer(projection: Projection, store: KeyedStore | RowStore) -> Writer:
    """The writer for a projection and its store."""
    if isinstance(projection, KeyedProjection):
        return KeyedWriter(projection, store)  # type: ignore[arg-type]
    return RowWriter(projection, store)  # type: ignore[arg-type]


class Runner:
    """Folds the batches of one view, one at a time; `start` before the first batch of a partition.

    `start` may come from another thread while a batch is in hand (a rebalance, a promoted version). That batch is then
    still written to the version and position it began with, or refused by the store, and does not move the new stand.
    """

    def __init__(
        self,
        projection: Projection,
        write_to: Writer,
        decoders: Mapping[str, BatchDecoder],
        limit: Limit,
        version: int,
        dead_letters: DeadLetters | None = None,
    ) -> None:
        """`dead_letters` None: bad records are left out in silence, as in a rebuild, whose first run set them aside."""
        self.projection, self.version = projection, version
        self._writer, self._decoders, self._dead_letters, self._limit = write_to, decoders, dead_letters, limit
        self._stands: dict[TopicPartition, Stand] = {}
        self._lock = Lock()
        self._gauges: dict[TopicPartition, BadRecordGauge] = {}
        self._letters_until: dict[TopicPartition, int] = {}

    def start(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Read the stored positions of partitions that are to be folded from now on; 0 where there is none."""
        version = self.version
        stored = self._writer.positions(version)
        started = {source: stored.get(source, 0) for source in sources}
        with self._lock:
            self._stands.update({source: Stand(version, following) for source, following in started.items()})
        return started

    def position(self, source: TopicPartition) -> int | None:
        """The offset that comes next, or None for a partition that was not started."""
        stand = self._stands.get(source)
        return None if stand is None else stand.following

    def passed_by_others(self, sources: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Those of some partitions whose stored position somebody else has moved on since this runner stood there: a redrive
        that brought the view beyond a record at which it had halted."""
        standing = [source for source in sources if source in self._stands]
        stored = self._writer.positions(self.version) if standing else {}
        return [source for source in standing if stored.get(source, 0) > self._stands[source].following]

    def handle(self, batch: Batch) -> Handled:
        """Fold a batch.

        Raises:
            Away: a store, broker or registry does not answer; the same call again is right.
            Moved: another owner wrote; `start` the partition again.
            Gap, TooManyBadRecords, or anything else: the partition must not go on.
        """
        stand = self._stands.get(batch.source)
        if stand is None:
            raise NotOwned(f"{batch.source} was not started")
        fresh = batch.since(stand.following)
        if fresh is None:
            return Handled(0, 0, stand.following)
        if fresh.begins > stand.following:
            raise Gap(f"{batch.source}: the log goes on at {fresh.begins}, the view stands at {stand.following}")
        records, faults = self._read(fresh)
        gauge = self._gauge(batch.source).check(len(fresh), [fault.index for fault in faults])
        waiting = self._writer.waiting(stand.version, fresh, faults)
        if waiting:
            records = without(records, {fresh.offsets[fault.index] for fault in waiting})
            faults = sorted((*faults, *waiting), key=lambda fault: fault.index)
        self._set_aside(fresh, faults)
        self._writer.write(stand.version, fresh, records)
        self._gauges[batch.source] = gauge
        with self._lock:
            if self._stands.get(batch.source) is stand:
                self._stands[batch.source] = Stand(stand.version, fresh.following)
        return Handled(len(fresh), len(faults), fresh.following)

    def _read(self, batch: Batch) -> tuple[Records, Sequence[Fault]]:
        decoder = self._decoders[batch.source.topic]
        if isinstance(self.projection, KeyedProjection) and len(batch) <= decoder.small:
            read = decoder.rows(batch.values)
            return rows_with_position(read.rows, batch), read.faults
        columns = decoder.decode(batch.values)
        return with_position(columns.frame, batch), columns.faults

    def _gauge(self, source: TopicPartition) -> BadRecordGauge:
        return self._gauges.get(source) or BadRecordGauge(self._limit)

    def _set_aside(self, batch: Batch, faults: Iterable[Fault]) -> None:
        """Make the dead letters durable before the position passes them. A batch that is tried again after its letters
        were written does not write them twice."""
        if self._dead_letters is None:
            return
        done = self._letters_until.get(batch.source, 0)
        letters = [
            DeadLetter(
                self.projection.name,
                batch.source,
                batch.offsets[fault.index],
                fault.reason,
                fault.detail,
                batch.keys[fault.index],
                batch.values[fault.index],
            )
            for fault in faults
            if batch.offsets[fault.index] >= done
        ]
        if letters:
            self._dead_letters.set_aside(letters)
            self._letters_until[batch.source] = letters[-1].offset + 1
