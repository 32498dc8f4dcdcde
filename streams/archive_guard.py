"""The retention guard: a guarded topic loses only what is archived and was proven to be.

The broker itself deletes nothing of such a topic (its `retention.ms` is -1). The guard moves the log's beginning on, segment
by segment: a segment may go when all its records are older than the topic's retention, its file has the hash and its records
the Merkle root that the manifest names, and the records are, one by one, those that the log holds. A segment of which any
of this is not so stays, and all behind it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.archive import Archive
from connectors.whole_log import WholeLog
from schemas.archive.manifest import Manifest, Segment
from schemas.archive.segment import Damaged
from schemas.contract import Topic
from schemas.log import TopicPartition
from streams.archive_check import difference

Delete = Callable[[Mapping[TopicPartition, int]], None]
"""Moves the beginning of partitions to offsets (DeleteRecords); may raise Away."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard did with a partition: the log began at `before` and begins at `now`. `held` says why no more was let
    go, where more is old enough; empty otherwise."""

    source: TopicPartition
    before: int
    now: int
    held: str


def guard(
    topic: Topic,
    log: WholeLog,
    archive: Archive,
    now: int,
    needed: Mapping[TopicPartition, int],
    delete: Delete | None,
) -> list[Verdict]:
    """Let go of what may go, as of `now` (milliseconds since 1970); with `delete` None nothing goes, and the verdict says
    what would.

    `needed`: where the live views and deciders stand; nothing behind that goes, whatever its age. A topic that is kept for
    ever loses nothing.

    Raises:
        Away, Refused: the log or the store does not answer.
        Damaged: there is no manifest that can be read.
    """
    bounds = sorted(log.bounds([topic.name]).items())
    if topic.retention_ms < 0:
        return [Verdict(source, low, low, "") for source, (low, _) in bounds]
    newest = archive.manifest(topic.name)
    found = []
    for source, (low, end) in bounds:
        if newest is None:
            held = "nothing of it is archived" if end > low else ""
            found.append(Verdict(source, low, low, held))
            continue
        found.append(_decide(newest[0], source, low, now - topic.retention_ms, needed.get(source, end), (log, archive)))
    going = {verdict.source: verdict.now for verdict in found if verdict.now > verdict.before}
    if delete is not None and going:
        delete(going)
    return found


def expired(manifest: Manifest, partition: int, low: int, before: int) -> list[Segment]:
    """The segments that follow each other from the log's beginning on, all of whose records are older than `before`. One
    without records goes with the one behind it."""
    found: list[Segment] = []
    waiting: list[Segment] = []
    for segment in manifest.covering(partition, low, 2**63):
        if segment.newest is not None and segment.newest >= before:
            break
        waiting.append(segment)
        if segment.newest is not None:
            found += waiting
            waiting = []
    return found


def _decide(
    manifest: Manifest, source: TopicPartition, low: int, before: int, needed: int, within: tuple[WholeLog, Archive]
) -> Verdict:
    log, archive = within
    reached, held = low, ""
    first, following = manifest.span(source.partition)
    if first > low or (following < low):
        return Verdict(source, low, low, f"archived are the offsets from {first} to {following}, the log begins at {low}")
    for segment in expired(manifest, source.partition, low, before):
        if segment.following > needed:
            held = f"a view or a decider stands at offset {needed}"
            break
        try:
            differing = difference(archive, source, segment, log, low)
        except Damaged as damage:
            held = str(damage)
            break
        if differing is not None:
            held = f"{segment.name}: the record at offset {differing} is not the one in the log"
            break
        reached = segment.following
    return Verdict(source, low, reached, held)
