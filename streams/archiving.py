"""Archiving: what the log holds goes out as segments that never change again.

A segment closes at the next multiple of a number of offsets, or earlier when its records are large or old. What was written
counts from the moment in which the manifest lists it, and that is written last: whatever is killed when, the next run goes
on from the manifest and finds nothing torn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from connectors.archive import Archive, Mark
from connectors.whole_log import WholeLog
from schemas.archive.manifest import Manifest, Segment, empty
from schemas.archive.records import Records, joined
from schemas.archive.segment import Damaged
from schemas.contract import Schema
from schemas.log import TopicPartition
from schemas.wire import UnknownSchema

PUBLISHED_TOGETHER = 16  # segments: a manifest lists all of them anew

Groups = Mapping[str, Mapping[str, int]]


class BrokenOff(ValueError):
    """The log does not continue what is archived of it; the message names the partition."""


@dataclass(frozen=True, slots=True)
class Closing:
    """When a segment closes: at each multiple of `offsets`, or when its oldest record is `milliseconds` old. Then it is cut
    into as many as `size`, their bytes, asks for."""

    offsets: int = 50_000
    size: int = 64_000_000
    milliseconds: int = 300_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a restore needs beside the records. `groups`: where each group stands, by TOPIC/PARTITION. `schema_of`: see
    SchemaRegistry.schema. `registry`: stores the registry's export and returns its object's name, empty for a registry that
    gives none. `now`: milliseconds since 1970."""

    groups: Callable[[], Groups]
    schema_of: Callable[[int], Schema]
    registry: Callable[[], str]
    now: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run archived of a topic, how many offsets are not yet archived, and the timestamp (milliseconds) of the oldest
    record among them that was seen; None where all is archived. `head`: the hash of the newest manifest."""

    topic: str
    segments: int
    records: int
    bytes: int
    waiting: int
    oldest_waiting: int | None
    head: str


class Archiver:
    """Archives topics of one log."""

    def __init__(self, log: WholeLog, archive: Archive, beside: Surroundings, closing: Closing | None = None) -> None:
        self._log, self._archive, self._beside = log, archive, beside
        self._closing = closing or Closing()
        self._schemas: set[int] | None = None
        self._registry: tuple[int, str] | None = None
        self._open: dict[TopicPartition, _Open] = {}

    def run(
        self, topics: Sequence[str], all_of_it: bool = False, report: Callable[[Outcome], None] = lambda outcome: None
    ) -> list[Outcome]:
        """Archive the closed segments of the topics; with `all_of_it` whatever there is, so that the last segments close
        where the log ends now.

        Raises:
            Away, Refused: the log, the registry or the store.
            Damaged, BrokenOff: the archive of a topic is not what it says; the log lost what was not archived, or is another
                one. The first such, when all else is archived.
            Overtaken: another archiver is at work on the topic.
        """
        broken: list[Damaged | BrokenOff] = []
        groups = self._beside.groups()  # before the ends: what was decided below these offsets lies below the ends
        ends = {str(source): end for source, (_, end) in self._log.bounds(topics).items()}
        outcomes = []
        for topic in topics:
            try:
                outcomes.append(self._topic(topic, all_of_it))
            except (Damaged, BrokenOff) as fault:  # one topic's, which must not keep the others from the archive
                broken.append(fault)
            else:
                report(outcomes[-1])
        self._mark(groups, ends)
        if broken:
            raise broken[0]
        return outcomes

    def _topic(self, topic: str, all_of_it: bool) -> Outcome:
        bounds = self._log.bounds([topic])
        manifest, digest = self._archive.manifest(topic) or (empty(topic, len(bounds)), "")
        done = _Done()
        pending: list[tuple[int, Segment]] = []
        broken: list[BrokenOff] = []
        for source, (low, end) in sorted(bounds.items()):
            try:
                following = _start(manifest, source, low, end)
            except BrokenOff as fault:  # one partition's, which must not keep the others from the archive
                broken.append(fault)
                continue
            while following < end:
                if not all_of_it and self._stays_open(source, following, end):
                    done.wait(end - following, self._open[source].oldest)
                    break
                records, closed = self._next(source, following, end)
                if not closed and not all_of_it:
                    self._open[source] = _Open(following, min(records.timestamps, default=None))
                    done.wait(end - following, self._open[source].oldest)
                    break
                pending.append((source.partition, self._put(records)))
                done.add(pending[-1][1])
                following = records.read_to
                if len(pending) >= PUBLISHED_TOGETHER:
                    manifest, digest = self._archive.publish(manifest, digest, pending)
                    pending = []
        if pending:
            manifest, digest = self._archive.publish(manifest, digest, pending)
        if broken:
            raise broken[0]
        return Outcome(topic, done.segments, done.records, done.bytes, done.waiting, done.oldest, digest)

    def _stays_open(self, source: TopicPartition, start: int, end: int) -> bool:
        """Whether the segment that begins at `start` was open when it was read last, and neither its edge nor its age has
        come since: then it is not read again. One that grows large closes when one of them comes."""
        known = self._open.get(source)
        if known is None or known.start != start or known.oldest is None:
            return False
        return end < self._edge(start) and known.oldest + self._closing.milliseconds > self._beside.now()

    def _edge(self, start: int) -> int:
        return (start // self._closing.offsets + 1) * self._closing.offsets

    def _next(self, source: TopicPartition, start: int, end: int) -> tuple[Records, bool]:
        """The records of the segment that begins at `start`, and whether it is closed."""
        edge = self._edge(start)
        parts: list[Records] = []
        size = 0
        for part in self._log.records(source, start, min(edge, end)):
            parts.append(part)
            size += part.size
            if size >= self._closing.size:
                break
        records = joined(parts)
        old = bool(len(records)) and min(records.timestamps) + self._closing.milliseconds <= self._beside.now()
        return records, records.read_to == edge or size >= self._closing.size or old

    def _put(self, records: Records) -> Segment:
        segment = self._archive.put_segment(records)
        if self._schemas is None:
            self._schemas = self._archive.schema_ids()
        for schema_id in sorted(set(segment.schemas) - self._schemas):
            try:
                schema = self._beside.schema_of(schema_id)
            except UnknownSchema:
                # A record that breaks the contract may name any: it is archived as it is, and was a dead letter.
                self._archive.put_unknown_schema(schema_id)
                continue
            self._archive.put_schema(schema_id, schema)
            self._schemas.add(schema_id)
        return segment

    def _exported(self) -> str:
        """The object of the registry's export, made anew when there were new schemas."""
        known = len(self._schemas or ())
        if self._registry is None or self._registry[0] != known:
            self._registry = known, self._beside.registry()
        return self._registry[1]

    def _mark(self, groups: Groups, ends: Mapping[str, int]) -> None:
        """Note where the groups stood, and forget the marks before the newest one that a restore could use."""
        marks = self._archive.marks()
        registry = self._exported()
        newest = marks[-1] if marks else None
        if newest is None or (newest.groups, newest.ends, newest.registry) != (groups, ends, registry):
            mark = Mark((newest.number if newest else 0) + 1, self._beside.now(), groups, ends, registry)
            if not self._archive.put_mark(mark):
                return  # another archiver's; it is as good
            marks.append(mark)
        usable = usable_mark(marks, archived_ends(self._archive))
        if usable is not None:
            self._archive.drop_marks(mark.number for mark in marks if mark.number < usable.number)


@dataclass(frozen=True, slots=True)
class _Open:
    """A segment that was not closed when it was read: where it begins, and the timestamp of its oldest record."""

    start: int
    oldest: int | None


@dataclass
class _Done:
    segments: int = 0
    records: int = 0
    bytes: int = 0
    waiting: int = 0
    oldest: int | None = None

    def add(self, segment: Segment) -> None:
        self.segments += 1
        self.records += segment.records
        self.bytes += segment.bytes

    def wait(self, offsets: int, oldest: int | None) -> None:
        self.waiting += offsets
        self.oldest = min((one for one in (oldest, self.oldest) if one is not None), default=None)


def _start(manifest: Manifest, source: TopicPartition, low: int, end: int) -> int:
    """Where archiving of a partition goes on, whose log holds the offsets from `low` to `end`."""
    first, following = manifest.span(source.partition)
    if first == following:
        return low
    if following < low:
        raise BrokenOff(f"{source}: the log begins at offset {low}, archived is up to {following}: what is between is lost")
    if following > end:
        raise BrokenOff(f"{source}: the log ends at offset {end}, archived is up to {following}: it is another log")
    return following


def archived_ends(archive: Archive) -> dict[str, int]:
    """Up to where each partition is archived, by TOPIC/PARTITION."""
    found: dict[str, int] = {}
    for topic in archive.topics():
        newest = archive.manifest(topic)
        for partition in range(len(newest[0].partitions) if newest else 0):
            assert newest is not None
            found[f"{topic}/{partition}"] = newest[0].span(partition)[1]
    return found


def usable_mark(marks: Iterable[Mark], ends: Mapping[str, int]) -> Mark | None:
    """The newest mark all of whose ends are archived: whatever was decided before its offsets is there. None if none is."""
    usable = [mark for mark in marks if all(ends.get(source, 0) >= end for source, end in mark.ends.items())]
    return max(usable, key=lambda mark: mark.number, default=None)
