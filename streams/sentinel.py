"""The drift sentinel: finds documents that are not what the log implies, in the background, at a bounded share of a core.

Two rounds go on and on over the buckets that a worker owns. One checks every document against the hash that was written with
it, which finds what happened to it in the store. The other folds some buckets' keys anew from the log, which finds folds
that were wrong; it reads the log once for each part of the keys.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Event

from connectors.leaves import Kept
from connectors.ports import LogReader
from projections.canonical import BUCKETS, document_leaf
from schemas.log import Batch, TopicPartition
from streams.prove import ADDED, AT_ONCE, CHANGED, OTHERWISE, REMOVED, Documents, fault_of
from streams.refold import Until, refold

FAULTS = {CHANGED: "changed", REMOVED: "removed", ADDED: "added", OTHERWISE: "otherwise"}
BUCKETS_REMEMBERED = 100_000  # keys
FEW, MANY = 100, 1_000  # documents of a step: more keep the store busy, fewer are not worth the question
MOST_BUCKETS = 1_024


@dataclass(frozen=True, slots=True)
class Finding:
    """A document that is not what it must be: what is wrong (of FAULTS), the hash of what is there, and the one that it must
    have; None where there is none."""

    key: str
    fault: str
    found: bytes | None
    expected: bytes | None


class Stopped(Exception):
    """The sentinel is to end."""


class Pace:
    """Keeps work to a share of the time. `share`: above 0, at most 1. `clock`: what work is measured by; by the processor's
    time of the thread what others do on the same machine makes it no slower.

    A rest is never shorter than the piece before it took by the clock on the wall, so that a store that is slow to answer is
    left alone half of the time. For one thread.
    """

    def __init__(self, share: float, stop: Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._stop, self._clock = share, stop, clock
        self._begin()

    def _begin(self) -> None:
        self._began, self._worked = time.monotonic(), self._clock()

    def rest(self) -> None:
        """Called between pieces of work, rests as long as the last piece asks for.

        Raises:
            Stopped: it is to end.
        """
        rest = (self._clock() - self._worked) * (1 / self._share - 1)
        if self._share < 1:
            rest = max(rest, time.monotonic() - self._began)
        if self._stop.wait(rest):
            raise Stopped
        self._begin()

    def wait(self, seconds: float) -> None:
        """Wait, whatever was worked. Raises as `rest`."""
        if self._stop.wait(seconds):
            raise Stopped
        self._begin()


class PacedLog:
    """A LogReader that rests between batches."""

    def __init__(self, log: LogReader, pace: Pace) -> None:
        self._log, self._pace = log, pace
        self.bounds, self.close = log.bounds, log.close

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        for batch in self._log.read(source, start, stop):
            yield batch
            self._pace.rest()


def owned_buckets(documents: Documents, partitions: Sequence[int]) -> list[int]:
    """The buckets of some partitions, side by side."""
    return [place * documents.partitions + partition for partition in sorted(partitions) for place in range(BUCKETS)]


def check_hashes(documents: Documents, buckets: Sequence[int], pace: Pace) -> Iterator[Finding]:
    """A round over the documents of some buckets, and over all documents that have no hash."""
    start, size = 0, AT_ONCE
    while start < len(buckets):
        found = documents.leaves.kept(documents.version, buckets[start : start + size])
        for kept in found:
            fault = fault_of(kept)
            if fault is not None:
                yield Finding(kept.key, FAULTS[fault], _hash(kept), kept.leaf)
        start, size = start + size, _next_size(size, len(found))
        pace.rest()
    mine = set(buckets)
    for key in documents.leaves.strangers(documents.version, documents.bucket_of):
        if documents.bucket_of(key) in mine:
            yield Finding(key, FAULTS[ADDED], None, None)
    pace.rest()


def check_folds(documents: Documents, buckets: Sequence[int], keys: int, pace: Pace) -> Iterator[tuple[int, list[Finding]]]:
    """A round of folding anew: so many buckets are taken at once as hold about `keys` keys. Yields after each part how many
    keys were compared, and what was found.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    paced = replace(documents, source=replace(documents.source, log=PacedLog(documents.source.log, pace)))
    start, size = 0, AT_ONCE
    while start < len(buckets):
        positions = documents.store.positions(documents.version)
        held: list[Kept] = []
        part = start
        while part < len(buckets) and len(held) < keys:
            found = documents.leaves.kept(documents.version, buckets[part : part + size])
            held += found
            part, size = part + size, _next_size(size, len(found))
            pace.rest()
        yield _compared(paced, positions, held, frozenset(buckets[start:part]))
        start = part


def _next_size(size: int, found: int) -> int:
    """How many buckets to read in the next step, after one of `size` that held so many documents: of a small view most
    buckets are empty."""
    if found < FEW:
        return min(2 * size, MOST_BUCKETS)
    return max(size // 2, 1) if found > MANY else size


def _compared(
    documents: Documents, positions: dict[TopicPartition, int], held: list[Kept], buckets: frozenset[int]
) -> tuple[int, list[Finding]]:
    """`positions` were read before what is held in the buckets."""
    bucket_of = lru_cache(BUCKETS_REMEMBERED)(documents.bucket_of)
    live = {kept.key: kept.document or {} for kept in held}
    implied = refold(documents.source, Until(positions, live, chosen=lambda key: bucket_of(key) in buckets))
    found: list[Finding] = []
    for kept in held:
        expected = document_leaf(kept.key, implied[kept.key]) if kept.key in implied else None
        if _hash(kept) != expected:
            found.append(Finding(kept.key, FAULTS[OTHERWISE], _hash(kept), expected))
    for key in implied.keys() - live.keys():
        found.append(Finding(key, FAULTS[REMOVED], None, document_leaf(key, implied[key])))
    return len(implied.keys() | live.keys()), found


def _hash(kept: Kept) -> bytes | None:
    """Of the document that is there; None where there is none, or it can't be read."""
    return document_leaf(kept.key, kept.document) if kept.document else None
