"""Verify: replay the log into scratch and compare a content hash per key with the live view, while it goes on living.

A view that is being written is compared at an exact cut all the same:

- A row view never changes a row, so both sides are cut at the positions P that the live view had when verification
  began: rows of records below P, on both sides.
- Documents carry their own stamps: see streams.refold. A record that was lost, doubled or changed on the way into a
  document makes it another one than scratch comes to.

streams.prove compares roots first, where hashes are kept.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connectors.ports import Document, KeyedStore, LogReader, RowStore
from projections.projection import KeyedProjection, RowProjection
from schemas.record_columns import BatchDecoder
from streams.refold import Source, Until, refold, whole
from streams.roots import Roots
from streams.runner import Runner
from streams.versions import SCRATCH


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many keys were compared, and the keys that differ, sorted; `reasons` says of those where it is known what is wrong
    with them. `roots`: of the live view, where they were compared."""

    keys: int
    differing: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
    roots: Roots | None = None

    @property
    def equal(self) -> bool:
        return not self.differing


def content_hash(document: Mapping[str, str]) -> str:
    """A hash of a document's fields, whatever their order."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(document):
        for text in (name, document[name]):
            data = text.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def compare(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Verdict:
    """The verdict on two tables of key -> content hash."""
    keys = ours.keys() | theirs.keys()
    return Verdict(len(keys), tuple(sorted(key for key in keys if ours.get(key) != theirs.get(key))))


def verify_keyed(
    projection: KeyedProjection, store: KeyedStore, log: LogReader, decoders: Mapping[str, BatchDecoder]
) -> Verdict:
    """Compare the live version of a view of documents with the log, document by document: what streams.prove does where
    hashes are kept of them.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    version = store.live()
    positions = store.positions(version)
    live: dict[str, Document] = dict(store.scan(version))
    scratch = refold(Source(projection, log, decoders), Until(positions, live))
    return compare(
        {key: content_hash(document) for key, document in live.items()},
        {key: content_hash(document) for key, document in scratch.items()},
    )


def verify_rows(projection: RowProjection, store: RowStore, log: LogReader, make_runner: Callable[[int], Runner]) -> Verdict:
    """Compare the live version of a view of rows with the log, by way of a scratch version that is dropped again.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    version = store.live()
    positions = store.positions(version)
    scratch = SCRATCH + secrets.randbelow(SCRATCH)  # two verifications at once don't meet
    store.prepare(scratch)
    try:
        runner = make_runner(scratch)
        bounds = log.bounds(projection.topics)
        runner.start(bounds)
        for source, (low, _) in bounds.items():
            whole(source, low, projection.name)
            for batch in log.read(source, low, positions.get(source, 0)):
                runner.handle(batch)
        return compare(store.digests(version, positions), store.digests(scratch, positions))
    finally:
        store.drop(scratch)
