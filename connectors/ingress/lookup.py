"""Looking up requests that a crash interrupted: which of their records are in the log.

A record that is marked as the request's is its record: the mark is made before the record is handed over, and no other
process or request makes it. A client can't: the ingress gives records no headers of a client under this name.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from connectors.ingress import recovery
from connectors.ingress.request_memory import Unfinished
from connectors.ingress.rest_writer import Written
from connectors.traces import Trace, Tracer
from schemas.log import TopicPartition

log = logging.getLogger(__name__)

Bounds = Mapping[TopicPartition, tuple[int, int]]


def mark_of(request_id: str, index: int) -> bytes:
    """The mark of a request's record; `index` is its place in the request, from 0."""
    return b"%s/%d" % (request_id.encode(), index)


def look_up(tracer: Tracer, interrupted: Sequence[Unfinished], compacted: Mapping[str, bool]) -> None:
    """Complete what `interrupted` say of their records. `compacted` tells of each topic whether it forgets records that
    are followed by newer ones of their key.

    Raises:
        Away: the broker does not answer.
    """
    of_topic: dict[str, list[Unfinished]] = defaultdict(list)
    for entry in interrupted:
        of_topic[entry.topic].append(entry)
    for topic, entries in of_topic.items():
        bounds = _settled(tracer, topic)
        if bounds is None:
            log.warning("%s is not there any more, nor is what was written to it", topic)
            for entry in entries:
                entry.written.clear()
            continue
        for source, (low, high) in sorted(bounds.items()):
            _look_up_partition(tracer, source, low, high, entries, compacted[topic])
        for entry in entries:
            if len(entry.written) == entry.records:
                entry.unknowable = False
            if not entry.unknowable:
                entry.starts = [high for _, (_, high) in sorted(bounds.items())]


def _settled(tracer: Tracer, topic: str) -> Bounds | None:
    """The bounds of a topic's partitions when what a process that was killed had sent is in: when they have not moved for a
    while; where others write all the time, after a longer while."""
    bounds = tracer.bounds(topic)
    for _ in range(recovery.SETTLE_ROUNDS):
        if bounds is None:
            break
        before = bounds
        time.sleep(recovery.SETTLE_SECONDS)
        bounds = tracer.bounds(topic)
        if bounds == before:
            break
    return bounds


def _look_up_partition(
    tracer: Tracer, source: TopicPartition, low: int, high: int, entries: Sequence[Unfinished], compacted: bool
) -> None:
    wanted = {entry.request_id.encode(): entry for entry in entries}
    starts = {entry.request_id: _start(entry, source.partition, high) for entry in entries}
    for entry in entries:
        if starts[entry.request_id] < low:
            entry.unknowable = True  # unless all of them are found
    at = first = max(low, min(starts.values()))
    for batch in tracer.traces(source, first, high):
        for trace in batch:
            if compacted and trace.offset > at:
                _lost(entries, starts, trace.offset)
            at = trace.offset + 1
            if trace.mark is not None:
                _note(wanted, source.partition, trace)
    if compacted and at < high:
        _lost(entries, starts, high)


def _start(entry: Unfinished, partition: int, high: int) -> int:
    """Where the records of a request may begin; at 0 in a partition that was added later, and in a topic that was made
    anew."""
    known = partition < len(entry.starts) and entry.starts[partition] <= high
    return entry.starts[partition] if known else 0


def _lost(entries: Sequence[Unfinished], starts: Mapping[str, int], offset: int) -> None:
    """Records before `offset` were compacted away: they may be of any request that began before."""
    for entry in entries:
        if starts[entry.request_id] < offset:
            entry.unknowable = True


def _note(wanted: Mapping[bytes, Unfinished], partition: int, trace: Trace) -> None:
    request_id, _, index = (trace.mark or b"").partition(b"/")
    entry = wanted.get(request_id)
    if entry is not None and index.isdigit() and int(index) < entry.records:
        entry.written.setdefault(int(index), Written(partition, trace.offset, trace.timestamp))
