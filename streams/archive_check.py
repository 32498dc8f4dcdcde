"""What is wrong with an archive: every missing, damaged, edited, swapped or moved object, by name."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from connectors.archive import Archive
from connectors.whole_log import WholeLog
from schemas.archive.manifest import Manifest, Segment, faults, opened, schema_ids
from schemas.archive.records import Records, joined
from schemas.archive.segment import Damaged
from schemas.log import TopicPartition


@dataclass(frozen=True, slots=True)
class Finding:
    """`place` is an object's name, or TOPIC/PARTITION of the log."""

    place: str
    what: str


@dataclass(slots=True)
class Report:
    """`strays` are objects that no manifest lists: harmless, a killed run left them."""

    topics: int = 0
    segments: int = 0
    records: int = 0
    findings: list[Finding] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)


def check(archive: Archive, deep: bool = False, log: WholeLog | None = None) -> Report:
    """Look at everything. Every file is read and hashed; `deep`: and decoded, its records' Merkle root made anew. With a log
    what it still holds is compared record by record.

    Raises:
        Away, Refused: the store or the log does not answer.
    """
    report = Report()
    sizes = {one.name: one.size for one in archive.objects.list("")}
    listed: set[str] = set()
    used: set[int] = set()
    for topic in archive.topics():
        report.topics += 1
        manifest = _manifest(archive, topic, report)
        if manifest is None:
            continue
        for partition, segments in enumerate(manifest.partitions):
            for segment in segments:
                listed.add(segment.name)
                used.update(segment.schemas)
                _segment(archive, TopicPartition(topic, partition), segment, deep, report)
        if log is not None:
            report.findings += _against(archive, manifest, log)
    _schemas_and_marks(archive, sizes, used, report)
    report.strays = sorted(name for name in sizes if name.endswith(".avro") and name not in listed)
    return report


def _manifest(archive: Archive, topic: str, report: Report) -> Manifest | None:
    """The newest manifest, if it can be read at all; what is wrong with it and with those before it is reported."""
    found: list[tuple[str, Manifest, str]] = []
    for name in archive.manifests(topic):
        data = archive.objects.get(name)
        try:
            found.append((name, opened(data, name), hashlib.sha256(data).hexdigest()))
        except Damaged as damage:
            report.findings.append(Finding(name, str(damage)))
    if not found:
        report.findings.append(Finding(f"topics/{topic}/manifest", "no manifest of the topic can be read"))
        return None
    for (_, before, digest), (name, after, _) in pairwise(found):
        if after.number == before.number + 1 and after.previous != digest:
            report.findings.append(Finding(name, f"does not follow manifest {before.number}: one of the two was edited"))
    name, newest, _ = found[-1]
    if newest.topic != topic or not name.endswith(f"/{newest.number:08}.json"):
        report.findings.append(Finding(name, f"holds manifest {newest.number} of {newest.topic}: it was moved"))
        return None
    report.findings += [Finding(name, fault) for fault in faults(newest)]
    return newest


def _segment(archive: Archive, source: TopicPartition, segment: Segment, deep: bool, report: Report) -> None:
    report.segments += 1
    report.records += segment.records
    try:
        if deep:
            records = archive.records(source, segment, deep=True)
            _facts(segment, records)
        else:
            archive.check_file(segment)
    except Damaged as damage:
        report.findings.append(Finding(segment.name, str(damage)))


def _facts(segment: Segment, records: Records) -> None:
    """Raises Damaged where an entry says of its records what is not so."""
    times = records.timestamps
    if (segment.oldest, segment.newest) != ((min(times), max(times)) if times else (None, None)):
        raise Damaged(f"{segment.name}: its records have other timestamps than the manifest says")
    if set(segment.schemas) != schema_ids(records.values):
        raise Damaged(f"{segment.name}: its records name other schemas than the manifest says")


def _schemas_and_marks(archive: Archive, sizes: dict[str, int], used: set[int], report: Report) -> None:
    for schema_id in sorted(archive.schema_ids() | (used - archive.unknown_schema_ids())):
        try:
            archive.schema(schema_id)
        except Damaged as damage:
            report.findings.append(Finding(f"schemas/{schema_id}.json", str(damage)))
    try:
        marks = archive.marks()
    except Damaged as damage:
        report.findings.append(Finding("marks", str(damage)))
        return
    for mark in marks:
        if mark.registry and mark.registry not in sizes:
            report.findings.append(Finding(mark.registry, f"{mark.registry} is missing: mark {mark.number} names it"))


def _against(archive: Archive, manifest: Manifest, log: WholeLog) -> Iterator[Finding]:
    for source, (low, end) in sorted(log.bounds([manifest.topic]).items()):
        first, following = manifest.span(source.partition)
        if following < low:
            yield Finding(str(source), f"offsets {following} to {low} are neither in the archive nor in the log")
        if following > end:
            yield Finding(str(source), f"archived is up to offset {following}, the log ends at {end}: it is another log")
            continue
        for segment in manifest.covering(source.partition, max(low, first), end):
            try:
                differing = difference(archive, source, segment, log, low)
            except Damaged:  # reported by itself
                continue
            if differing is not None:
                yield Finding(segment.name, f"{source}: the record at offset {differing} is not the one in the log")


def difference(archive: Archive, source: TopicPartition, segment: Segment, log: WholeLog, low: int) -> int | None:
    """The first offset at which a segment and the log, which begins at `low`, differ; None where they hold the same.

    Raises:
        Damaged: the segment is, or its records have another root than the manifest says.
    """
    archived = archive.records(source, segment, deep=True).between(max(low, segment.first), segment.following)
    live = joined(list(log.records(source, max(low, segment.first), segment.following)))
    ours, theirs = _rows(archived), _rows(live)
    if ours == theirs:
        return None
    differing = [one for one, other in zip(ours, theirs, strict=False) if one != other]
    longer = max(ours, theirs, key=len)
    return (differing or longer[min(len(ours), len(theirs)) :])[0][0]


def _rows(records: Records) -> list[tuple[int, ...]]:
    columns = records.offsets, records.timestamps, records.keys, records.headers, records.values
    return list(zip(*columns, strict=True))  # type: ignore[arg-type]
