"""Making snapshots of views: the snapshot before and what the log holds since then, and nothing else."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from connectors.ports import LogReader
from connectors.view_snapshots import Entry, Head, Span, Unusable, ViewSnapshots
from projections.as_of import EVENT, RECEIVED, Delta, kept
from projections.projection import KEY, KeyedProjection
from schemas.log import TopicPartition
from schemas.partitioner import partition_of
from schemas.record_columns import BatchDecoder
from streams.as_of_frames import Frames, Stretch
from streams.parking import demand_no_parking

MOST_SPANS = 64
"""Of a partition; beyond, neighbours become one."""
NEVER = 2**63 - 1
"""The earliest time in a span that holds nothing to fold."""


def _nothing(offset: int) -> Iterable[tuple[TopicPartition, int]]:
    return ()


@dataclass(frozen=True, slots=True)
class Parts:
    """What snapshots and as-of of one view are made with.

    The records of `log` count as the corrections before the offset `corrections` of their topic say. `corrected(offset)`
    gives the positions that the corrections between that and another offset are about.

    Raises:
        Parks: the view's documents can't be folded so.
    """

    projection: KeyedProjection
    log: LogReader
    decoders: Mapping[str, BatchDecoder]
    snapshots: ViewSnapshots
    corrections: int = 0
    corrected: Callable[[int], Iterable[tuple[TopicPartition, int]]] = _nothing

    def __post_init__(self) -> None:
        demand_no_parking(self.projection)


class LogTooShort(ValueError):
    """The log no longer reaches back to where the fold must begin; the message names the partition."""


Bounds = Mapping[TopicPartition, tuple[int, int]]


def usable(parts: Parts, bounds: Bounds) -> tuple[list[Head], list[Unusable]]:
    """The snapshots that are of this view's revision, this log and its corrections, newest first; and those that are not."""
    heads, unusable = parts.snapshots.heads(parts.projection.name)
    found = []
    for head in heads:
        why = _fault(parts, head, bounds)
        if why:
            unusable.append(Unusable(f"{head.view}/{head.number}", why))
        else:
            found.append(head)
    return found, unusable


def _fault(parts: Parts, head: Head, bounds: Bounds) -> str:
    if head.revision != parts.projection.revision:
        return f"is of revision {head.revision} of the view, which is at {parts.projection.revision}"
    ends = {str(source): end for source, (_, end) in bounds.items()}
    for source, position in head.positions.items():
        if position > ends.get(source, 0):
            return f"is of another log: it reaches to {position} of {source}, the log to {ends.get(source, 0)}"
    if head.corrections != parts.corrections:
        for corrected, offset in parts.corrected(head.corrections):
            if offset < head.positions.get(str(corrected), 0):
                return f"was made under other corrections of {corrected}:{offset}"
    return ""


def make(parts: Parts, now: int) -> Head:
    """Make a snapshot of all that the log holds at present. `now`: microseconds since 1970 UTC.

    Raises:
        LogTooShort: retention removed what the newest snapshot that is whole does not hold.
        Unusable: that one was removed or damaged meanwhile.
    """
    projection, bounds = parts.projection, parts.log.bounds(parts.projection.topics)
    heads, _ = usable(parts, bounds)
    before = next((head for head in heads if _whole(parts.snapshots, head)), None)
    growth = _Growth(projection, before, {topic: _count(bounds, topic) for topic in projection.topics})
    frames = Frames(parts.log, parts.decoders)
    for source, (low, end) in bounds.items():
        start = before.positions.get(str(source), 0) if before else 0
        if start < low and start < end:
            raise LogTooShort(
                f"{source}: the log begins at offset {low}, and no snapshot of {projection.name} reaches that far"
            )
        for stretch in frames.stretches(source, start, end):
            growth.add(stretch)
    numbers = [head.number for head in parts.snapshots.heads(projection.name)[0]]
    head = Head(
        view=projection.name,
        revision=projection.revision,
        number=max(numbers, default=0) + 1,
        made_at=now,
        positions={str(source): end for source, (_, end) in bounds.items()},
        records=frames.read + (before.records if before else 0),
        corrections=parts.corrections,
        spans=growth.spans,
        routed=growth.routed,
    )
    return parts.snapshots.save(head, merged(parts.snapshots.entries(before) if before else iter(()), growth.delta))


def _whole(snapshots: ViewSnapshots, head: Head) -> bool:
    try:
        snapshots.check(head)
    except Unusable:
        return False
    return True


def thin(snapshots: ViewSnapshots, view: str) -> list[int]:
    """Drop the snapshots that are too many; returns their numbers."""
    numbers = [head.number for head in snapshots.heads(view)[0]]
    dropped = sorted(set(numbers) - kept(numbers))
    for number in dropped:
        snapshots.drop(view, number)
    return dropped


def merged(before: Iterator[Entry], delta: Delta, after: str = "") -> Iterator[Entry]:
    """The entries of a snapshot with what was folded since, ascending by key; only those whose key is greater than `after`,
    as those of `before` are."""
    new = sorted(key for key in delta.touched if key > after)
    at = 0
    for entry in before:
        while at < len(new) and new[at] < entry.key:
            yield _fresh(new[at], delta)
            at += 1
        if at < len(new) and new[at] == entry.key:
            touched = delta.touched[entry.key]
            event, received = max(entry.event, touched.event), max(entry.received, touched.received)
            yield Entry(entry.key, event, received, touched.onto(entry.document))
            at += 1
        else:
            yield entry
    for key in new[at:]:
        yield _fresh(key, delta)


def _fresh(key: str, delta: Delta) -> Entry:
    touched = delta.touched[key]
    return Entry(key, touched.event, touched.received, touched.onto({}))


def _count(bounds: Bounds, topic: str) -> int:
    return sum(1 for source in bounds if source.topic == topic)


@dataclass
class _Growth:
    """What a snapshot has beyond the one before."""

    projection: KeyedProjection
    before: Head | None
    partitions: Mapping[str, int]
    delta: Delta = field(init=False)
    spans: dict[str, tuple[Span, ...]] = field(init=False)
    routed: dict[str, bool] = field(init=False)
    _placed: set[tuple[TopicPartition, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.delta = Delta(self.projection, timed=True)
        self.spans = dict(self.before.spans) if self.before else {}
        self.routed = dict(self.before.routed) if self.before else {}

    def add(self, stretch: Stretch) -> None:
        name, frame = str(stretch.source), stretch.frame
        earliest = frame.select(pl.col(EVENT).min().fill_null(NEVER), pl.col(RECEIVED).min().fill_null(NEVER)).row(0)
        self.spans[name] = fewer((*self.spans.get(name, ()), Span(stretch.start, stretch.stop, *earliest)))
        keyed = self.projection.keyed(stretch.source.topic, frame.drop(EVENT, RECEIVED))
        if not keyed.is_empty():
            self._look_at_keys(stretch, keyed)
            self.delta.add(stretch.source.topic, frame, keyed)

    def _look_at_keys(self, stretch: Stretch, keyed: pl.DataFrame) -> None:
        """Whether every document's records have its key, and lie where it says."""
        topic = stretch.source.topic
        if not self.routed.setdefault(topic, True):
            return
        both = keyed.select(KEY, "offset").join(stretch.keys(), on="offset", how="left")
        if not both.select(pl.col("__raw").eq_missing(pl.col(KEY).cast(pl.Binary)).all()).item():
            self.routed[topic] = False
            return
        new = {(stretch.source, key) for key in both[KEY].unique()} - self._placed
        self._placed |= new
        count, own = self.partitions[topic], stretch.source.partition
        self.routed[topic] = all(partition_of(key.encode(), count) == own for _, key in new)


def fewer(spans: Sequence[Span]) -> tuple[Span, ...]:
    """At most MOST_SPANS: from the oldest on, two that are neighbours become one."""
    if len(spans) <= MOST_SPANS:
        return tuple(spans)
    half = MOST_SPANS // 2
    pairs = zip(spans[:half:2], spans[1:half:2], strict=True)
    together = [
        Span(one.start, other.stop, min(one.event, other.event), min(one.received, other.received)) for one, other in pairs
    ]
    return (*together, *spans[half:])
