"""Redrive: corrections into the live version of a view, while it goes on living.

A live view folds the log as it lies there and knows of no corrections: which records it took how would hang on when it came
by them. A version says with which corrections it was made (its fact `corrections`), and this is what moves that on, without
making the whole view anew:

1. Records that are corrected and that the view has not reached (it halted at one of them, or lags) are passed first, as a
   second owner of the partition would do it: folded as they count, each write on the condition of the position.
2. Then all corrected records lie behind the view. What they touch, or touched before, is made anew: the documents of their
   keys (streams.partial); the rows of the records themselves.
3. Then the version says that these corrections are in it. Before 1. it said that they are being brought in.

A redrive that dies is begun again: what it made anew comes out the same. Until then the keys that it had finished differ
from what the version says of itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from connectors.chunks import Chunks, Range
from connectors.corrections import CorrectedLog
from connectors.leaves import Leaves
from connectors.ports import KeyedStore, LogReader, Moved, RowStore, ViewStore
from projections.canonical import CHUNK, EMPTY_CHUNK
from projections.projection import KEY, KeyedProjection, Projection, RowProjection, with_position
from schemas.corrections import FACT, REDRIVING, Corrections, made_with
from schemas.log import Batch, TopicPartition
from schemas.record_columns import BatchDecoder
from streams.partial import refold
from streams.runner import Runner

MOST_ATTEMPTS = 200  # at a position that others move on

Position = tuple[TopicPartition, int]


class NeedsRebuild(Exception):
    """The corrections can't be brought into the view while it goes on; the message says why. A rebuild can."""


class Contended(Exception):
    """Others wrote again and again."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """What a redrive did: the view's version, the corrections that are in it now, how many of its records are corrected
    otherwise than before, and how many documents or records' rows were made anew."""

    version: int
    corrections: int
    records: int
    remade: int


@dataclass(frozen=True)
class Redrive:
    """What it takes. `log` is the log as it lies there; `corrections_until(offset)` gives the corrections in force; `hashes`
    are those of the documents, or of the chunks of rows, of `chunk` offsets each."""

    projection: Projection
    store: ViewStore
    log: LogReader
    decoders: Mapping[str, BatchDecoder]
    make_runner: Callable[[int], Runner]
    corrections_until: Callable[[int], Corrections]
    hashes: Leaves | Chunks
    chunk: int = CHUNK

    def run(self, until: int) -> Redriven:
        """Bring all corrections before the offset `until` of their topic into the live version.

        Raises:
            Away: a store, the broker or the registry does not answer.
            NeedsRebuild: records wait in the view for others (KeyedProjection.parks).
            Contended: a position was moved by others all the time, or another version was promoted.
            TooBusy: documents were written to by others all the time.
            ValueError: the log no longer reaches back to the beginning.
            MisplacedCorrection: a correction is of another record.
        """
        version = self.store.live()
        before, after = self.corrections_until(made_with(self.store.facts(version))), self.corrections_until(until)
        changed = [position for position in changed_records(before, after) if position[0].topic in self.projection.topics]
        remade = 0
        if changed and isinstance(self.projection, KeyedProjection) and self.projection.parks:
            raise NeedsRebuild(
                f"{self.projection.name}: records wait for those that are corrected, and are folded after them"
            )
        if changed:
            self.store.note(version, {REDRIVING: str(until)})  # before anything is done, see streams.settled
            self._pass(version, after, changed)
            if isinstance(self.projection, KeyedProjection):
                remade = self._documents(self.projection, version, (before, after), changed)
            else:
                remade = self._rows(self.projection, version, after, changed)
        self.store.note(version, {FACT: str(until), REDRIVING: None})
        return Redriven(version, until, len(changed), remade)

    def _pass(self, version: int, after: Corrections, changed: Iterable[Position]) -> None:
        """Take the view beyond the corrected records that it has not reached."""
        beyond: dict[TopicPartition, int] = {}
        for source, offset in changed:
            beyond[source] = max(beyond.get(source, 0), offset + 1)
        log = CorrectedLog(self.log, after)
        for source, stop in beyond.items():
            for _ in range(MOST_ATTEMPTS):
                runner = self.make_runner(version)
                start = runner.start([source])[source]
                try:
                    for batch in log.read(source, start, stop):
                        runner.handle(batch)
                    break
                except Moved:  # the live view goes on by itself
                    continue
            else:
                raise Contended(f"{self.projection.name}: {source} moved on {MOST_ATTEMPTS} times")

    def _documents(
        self, projection: KeyedProjection, version: int, both: tuple[Corrections, Corrections], changed: Sequence[Position]
    ) -> int:
        keys = sorted({key for corrections in both for key in self.keys(projection, corrections, changed)})
        store: KeyedStore = self.store  # type: ignore[assignment]
        leaves: Leaves = self.hashes  # type: ignore[assignment]
        done = refold(projection, store, leaves, CorrectedLog(self.log, both[1]), self.decoders, keys)
        if done.version != version:
            raise Contended(f"{projection.name}: version {done.version} was promoted in place of {version} meanwhile")
        return len(done.replaced) + len(done.removed)

    def keys(self, projection: KeyedProjection, corrections: Corrections, of: Sequence[Position]) -> set[str]:
        """The keys that some records touch as they count under corrections."""
        found: set[str] = set()
        for source, batch in self._records(corrections, of):
            decoded = self.decoders[source.topic].decode(batch.values).frame
            found.update(projection.keyed(source.topic, with_position(decoded, batch))[KEY].to_list())
        return found

    def _rows(self, projection: RowProjection, version: int, after: Corrections, changed: Sequence[Position]) -> int:
        store: RowStore = self.store  # type: ignore[assignment]
        for source, batch in self._records(after, changed):
            decoded = self.decoders[source.topic].decode(batch.values).frame
            rows = projection.rows(with_position(decoded, batch)) if len(decoded) else empty(projection)
            store.amend(version, source, batch.begins, batch.begins + 1, rows)
        self._hash_anew(version, {(source, offset // self.chunk) for source, offset in changed})
        return len(changed)

    def _hash_anew(self, version: int, touched: Iterable[Position]) -> None:
        """Work out the hashes of chunks of rows that are kept and are of other rows now."""
        chunks: Chunks = self.hashes  # type: ignore[assignment]
        kept = chunks.sealed(version)
        for source, number in sorted(touched):
            if number in kept.get(source, {}):
                rows_of = Range(source, number * self.chunk, (number + 1) * self.chunk)
                hashed = chunks.computed(version, rows_of, self.chunk).get(number, EMPTY_CHUNK)
                chunks.seal(version, source, {number: hashed})

    def _records(self, corrections: Corrections, of: Sequence[Position]) -> Iterable[tuple[TopicPartition, Batch]]:
        """Each record as it counts, as a batch of its own, which is empty where the record does not count."""
        log = CorrectedLog(self.log, corrections)
        for source, offset in of:
            for batch in log.read(source, offset, offset + 1):
                yield source, batch


def empty(projection: RowProjection) -> pl.DataFrame:
    """No rows, for a record that does not count."""
    return pl.DataFrame(schema=dict.fromkeys(projection.table.names, pl.Null))


def changed_records(before: Corrections, after: Corrections) -> list[Position]:
    """The records that count differently under two sets of corrections, in the order of the log."""
    ours, theirs = ({(e.correction.source, e.correction.offset): e.at for e in made} for made in (before, after))
    return sorted(place for place in ours.keys() | theirs.keys() if ours.get(place) != theirs.get(place))
