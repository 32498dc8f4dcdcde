"""The documents of a view as of a time: the fold of exactly the records that happened by T and were received by K.

Snapshots make it fast and change nothing. A document of a snapshot holds all records of its key below the snapshot's
positions; where none of them is later than T and K, it stands for them, and only what the log holds from there on is folded
onto it. Where one is, an older snapshot is asked for that document, and in the end the log.

Of one document only the partitions are read that its key can be in. A snapshot knows whether all records of a topic so far
lay where their key says; of a topic of which it does not know that, every partition is read. So a record that somebody puts
elsewhere is missed only if it is the first such one of its topic, and later than the newest snapshot: `everywhere` reads all
the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from connectors.ports import Document
from connectors.view_snapshots import Entry, Head, Unusable
from projections.as_of import EVENT, RECEIVED, Delta, Moment, counting
from projections.projection import KEY
from schemas.log import TopicPartition
from schemas.moments import text
from schemas.partitioner import partition_of
from streams.as_of_frames import Frames, Wanted, unskipped
from streams.snapshotting import NEVER, Bounds, LogTooShort, Parts, merged, usable

STAMP = "position."
MOST_SOUGHT = 8
"""Keys that are looked for in the bytes of a value; with more, decoding all is faster."""
LIMITS = {KEY: pl.String, "__start": pl.Int64}


class BeforeTheLog(ValueError):
    """Nothing had happened yet, or nothing was received, by the time asked for; the message says when the log begins."""


@dataclass(slots=True)
class Told:
    """How an answer came about: the snapshot that it is based on (None: none), the records read, snapshots not used."""

    snapshot: int | None = None
    records: int = 0
    unusable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Start:
    """Where the fold of a key begins: a document, and the snapshot that it is from (None: the log's beginning)."""

    document: Document
    head: Head | None

    @property
    def number(self) -> int | None:
        return self.head.number if self.head else None

    def position(self, source: TopicPartition) -> int:
        return self.head.positions.get(str(source), 0) if self.head else 0


class AsOf:
    """One view as of times. For one thread at a time. All calls may raise Away, LogTooShort and Untimed."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def document(self, key: str, moment: Moment, everywhere: bool = False) -> tuple[Document | None, Told]:
        """One document; None where no record of its key counts."""
        told = Told()
        bounds = self._parts.log.bounds(self._parts.projection.topics)
        heads = self._heads(bounds, told)
        newest = heads[0] if heads else None
        start = self._start(key, moment, heads, told)
        fold = _Fold(self._parts, moment, newest)
        for source in bounds if everywhere else _sources(key, bounds, newest, start):
            routed = not everywhere and newest is not None and newest.routed.get(source.topic, False)
            fold.keys(source, {key: start.position(source)}, bounds[source], routed)
        told.snapshot, told.records = start.number, fold.frames.read
        touched = fold.delta.touched.get(key)
        return (touched.onto(start.document) if touched else start.document) or None, told

    def documents(self, moment: Moment, after: str = "") -> tuple[Iterator[tuple[str, Document]], Told]:
        """All documents whose key is greater than `after`, ascending. The log is read before this returns.

        Raises:
            BeforeTheLog: none has anything yet.
        """
        told = Told()
        bounds = self._parts.log.bounds(self._parts.projection.topics)
        heads = self._heads(bounds, told)
        while True:
            base = next((head for head in heads if _mostly(head, moment)), None)
            try:
                if base is not None:
                    self._parts.snapshots.check(base)
                return self._fleet(moment, after, bounds, heads, base, told), told
            except Unusable as unusable:
                if base is None:
                    raise
                told.unusable.append(str(unusable))
                heads.remove(base)

    def _heads(self, bounds: Bounds, told: Told) -> list[Head]:
        heads, unusable = usable(self._parts, bounds)
        told.unusable += [str(one) for one in unusable]
        return heads

    def _start(self, key: str, moment: Moment, heads: Iterable[Head], told: Told) -> _Start:
        """From where a document is to be folded: of the newest snapshot that holds nothing of it that is too late."""
        for head in heads:
            try:
                entry = self._parts.snapshots.entry(head, key)
            except Unusable as unusable:
                told.unusable.append(str(unusable))
                continue
            if entry is None or entry.within(*moment):
                return _Start(entry.document if entry else {}, head)
        return _Start({}, None)

    def _fleet(
        self, moment: Moment, after: str, bounds: Bounds, heads: list[Head], base: Head | None, told: Told
    ) -> Iterator[tuple[str, Document]]:
        snapshots = self._parts.snapshots
        fold = _Fold(self._parts, moment, heads[0] if heads else None)
        late = list(snapshots.late(base, *moment)) if base else []
        older = heads[heads.index(base) + 1 :] if base else []
        starts = {entry.key: self._start(entry.key, moment, older, told) for entry in late}
        for source in bounds:
            again = {
                entry.key: starts[entry.key].position(source)
                for entry in late
                if int(entry.document.get(f"{STAMP}{source}", -1)) >= starts[entry.key].position(source)
            }
            begins = base.positions.get(str(source), 0) if base else 0
            low, end = bounds[source]
            if again:
                fold.keys(source, again, (low, begins), bool(heads[0].routed.get(source.topic)))
            fold.all(source, begins, (low, end))
        told.snapshot, told.records = base.number if base else None, fold.frames.read
        if base is None and not fold.delta.touched and fold.earliest < NEVER:
            raise BeforeTheLog(_before(self._parts.projection.name, moment, fold))
        entries = snapshots.entries(base, after) if base else iter(())
        right = (Entry(e.key, 0, 0, starts[e.key].document) if e.key in starts else e for e in entries)
        return ((e.key, e.document) for e in merged(right, fold.delta, after) if e.document)


class _Fold:
    """Folds what counts of stretches of the log."""

    def __init__(self, parts: Parts, moment: Moment, newest: Head | None) -> None:
        self._projection, self._moment = parts.projection, moment
        self._spans = newest.spans if newest else {}
        self.frames, self.delta = Frames(parts.log, parts.decoders), Delta(parts.projection)
        self.earliest, self.first_received = NEVER, NEVER

    def all(self, source: TopicPartition, start: int, kept: tuple[int, int]) -> None:
        """Everything from `start` on; `kept`: what the log holds."""
        for first, stop in self._ranges(source, start, kept):
            for stretch in self.frames.stretches(source, first, stop):
                self._see(stretch.frame)
                self.delta.add(source.topic, counting(stretch.frame, self._moment))

    def keys(self, source: TopicPartition, starts: Mapping[str, int], kept: tuple[int, int], routed: bool) -> None:
        """What some keys have from their own start on; `routed`: all their records have them as their own key."""
        limits = pl.DataFrame({KEY: list(starts), "__start": list(starts.values())}, schema=LIMITS)
        for first, stop in self._ranges(source, min(starts.values()), kept):
            frame = counting(self.frames.chosen(source, first, stop, _wanted(starts, routed)), self._moment)
            if frame.is_empty():
                continue
            keyed = self._projection.keyed(source.topic, frame.drop(EVENT, RECEIVED))
            mine = keyed.join(limits, on=KEY, maintain_order="left").filter(pl.col("offset") >= pl.col("__start"))
            self.delta.add(source.topic, frame, mine.drop("__start"))

    def _ranges(self, source: TopicPartition, start: int, kept: tuple[int, int]) -> Iterator[tuple[int, int]]:
        low, end = kept
        spans = self._spans.get(str(source), ())
        for span in spans:
            self.earliest, self.first_received = min(self.earliest, span.event), min(self.first_received, span.received)
        for first, stop in unskipped(spans, start, end, self._moment):
            if first < low:
                raise LogTooShort(
                    f"{source}: the log begins at offset {low}, and no snapshot of {self._projection.name} reaches so far "
                    "back that it could tell"
                )
            yield first, stop

    def _see(self, frame: pl.DataFrame) -> None:
        if not frame.is_empty():
            event, received = frame.select(pl.col(EVENT).min(), pl.col(RECEIVED).min()).row(0)
            self.earliest, self.first_received = min(self.earliest, event), min(self.first_received, received)


def _mostly(head: Head, moment: Moment) -> bool:
    """Whether most documents of a snapshot hold nothing too late, so that it is worth to fold the others again."""
    return moment.at >= head.most_event and moment.known >= head.most_received


def _wanted(keys: Iterable[str], routed: bool) -> Wanted:
    """Which records may be of these documents. The key of a document is a string of its records, and Avro writes those as
    they are: a value that does not hold the key's bytes is not of its document."""
    raw = frozenset(key.encode() for key in keys)
    if routed:
        return lambda key, value: key in raw
    if len(raw) > MOST_SOUGHT:
        return lambda key, value: True
    if len(raw) == 1:
        (only,) = raw
        return lambda key, value: value is not None and only in value
    return lambda key, value: value is not None and any(one in value for one in raw)


def _sources(key: str, bounds: Bounds, newest: Head | None, start: _Start) -> Iterator[TopicPartition]:
    """The partitions that the key's records can be in."""
    for source in bounds:
        if newest is None or not newest.routed.get(source.topic):
            yield source
            continue
        count = sum(1 for other in bounds if other.topic == source.topic)
        if source.partition == partition_of(key.encode(), count) or f"{STAMP}{source}" in start.document:
            yield source


def _before(view: str, moment: Moment, fold: _Fold) -> str:
    if moment.at < fold.earliest:
        return f"{text(moment.at)} is before the log of {view} begins, at {text(fold.earliest)}"
    if moment.known < fold.first_received:
        return f"nothing of {view} was received by {text(moment.known)}; the first at {text(fold.first_received)}"
    return f"nothing of {view} that had happened by {text(moment.at)} was received by {text(moment.known)}"
