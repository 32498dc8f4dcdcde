"""Prove a view of documents: replay the log into scratch, compare roots, then go down to the buckets and keys that differ.

The store's hashes are taken at one moment (a cut), at which everything below the view's positions is folded and nothing
else; scratch is folded to these positions and must come to the same hashes, however the view lives on meanwhile. That proves
the hashes; each document is then checked against its own hash, in one step with it, which proves the documents. Keys that
are in doubt after that are compared as streams.refold says, document by document.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from connectors.leaves import Kept, Leaves
from connectors.ports import Document, KeyedStore
from projections.canonical import BUCKETS, bucket_hash, bucket_of, document_leaf, document_roots, spread
from schemas.log import TopicPartition
from streams.refold import Source, Until, refold
from streams.roots import Roots, document_cut, hashes_of
from streams.verify import Verdict, compare, content_hash, verify_keyed

AT_ONCE = 16  # buckets whose documents are read in one step: about a thousand with a million keys in six partitions
KEYS_AT_ONCE = 1_000
UNREADABLE = "unreadable"

ADDED = "there is a document without a hash: no fold wrote it"
REMOVED = "there is a hash without a document"
CHANGED = "the document is not the one that its hash is of"
OTHERWISE = "the log implies another document"


@dataclass(frozen=True)
class Documents:
    """A version of a view of documents, and what is needed to prove it."""

    source: Source
    store: KeyedStore
    leaves: Leaves
    version: int

    @property
    def partitions(self) -> int:
        return self.source.projection.partitions

    def bucket_of(self, key: str) -> int:
        return bucket_of(key, self.partitions)


def prove_documents(documents: Documents) -> Verdict:
    """Compare a version of a view of documents with the log.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    if not documents.leaves.complete(documents.version):
        return verify_keyed(documents.source.projection, documents.store, documents.source.log, documents.source.decoders)
    cut = document_cut(documents.leaves, documents.version, documents.partitions)
    kept = hashes_of(cut)
    roots = Roots(cut.positions, document_roots(kept, documents.partitions))
    implied = {key: document_leaf(key, document) for key, document in refold(documents.source, Until(cut.positions)).items()}
    buckets = spread(implied, documents.partitions)
    hashes = {bucket: bucket_hash(leaves) for bucket, leaves in buckets.items()}
    keys, reasons = _checked(documents)
    keys |= implied.keys()
    if document_roots(hashes, documents.partitions) != roots.partitions:
        empty = bucket_hash({})
        wrong = {bucket for bucket in kept.keys() | hashes.keys() if kept.get(bucket, empty) != hashes.get(bucket, empty)}
        suspects = {key for key in keys if documents.bucket_of(key) in wrong}
        found = compare_keys(documents, suspects - reasons.keys())
        reasons |= dict.fromkeys(found, OTHERWISE)
        doubted = {documents.bucket_of(key) for key in reasons}
        for bucket in wrong - doubted:
            reasons[f"bucket {bucket}"] = "its kept hash is not that of its documents"
    return Verdict(len(keys | reasons.keys()), tuple(sorted(reasons)), reasons, roots)


def sample_documents(documents: Documents, keys: int, chance: random.Random) -> Verdict:
    """Compare so many random keys (or all, where there are not so many) with the log.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    positions = documents.store.positions(documents.version)
    if documents.leaves.complete(documents.version):
        chosen = _random_documents(documents, keys, chance)
    else:
        chosen = [Kept(key, None, document, 1) for key, document in documents.store.scan(documents.version)]
        chance.shuffle(chosen)
        chosen = chosen[:keys]
    differing = _differing(documents, positions, chosen)
    reasons = {one.key: reason for one in chosen if one.leaf and (reason := fault_of(one))}
    reasons |= {key: OTHERWISE for key in differing if key not in reasons}
    return Verdict(len(chosen), tuple(sorted(reasons)), reasons)


def compare_keys(documents: Documents, keys: Iterable[str]) -> tuple[str, ...]:
    """Those of `keys` of which the log implies another document than there is."""
    wanted = sorted(keys)
    if not wanted:
        return ()
    positions = documents.store.positions(documents.version)
    found: list[Kept] = []
    for start in range(0, len(wanted), KEYS_AT_ONCE):
        part = {key: documents.bucket_of(key) for key in wanted[start : start + KEYS_AT_ONCE]}
        found += documents.leaves.looked_up(documents.version, part)
    return _differing(documents, positions, found)


def fault_of(kept: Kept) -> str | None:
    """What is wrong with a document by its own hash."""
    if kept.leaf is None:
        return ADDED
    if kept.document == {} and kept.revision == 0:
        return REMOVED
    if kept.document is None or document_leaf(kept.key, kept.document) != kept.leaf:
        return CHANGED
    return None


def faults(documents: Documents, buckets: range) -> Iterator[tuple[list[Kept], dict[str, str]]]:
    """What is kept in some buckets, step by step, and what is wrong with it."""
    for start in range(buckets.start, buckets.stop, AT_ONCE):
        found = documents.leaves.kept(documents.version, range(start, min(start + AT_ONCE, buckets.stop)))
        yield found, {one.key: reason for one in found if (reason := fault_of(one))}


def _checked(documents: Documents) -> tuple[set[str], dict[str, str]]:
    """All keys, and what is wrong with each document by its own hash."""
    keys: set[str] = set()
    reasons: dict[str, str] = {}
    for found, wrong in faults(documents, range(BUCKETS * documents.partitions)):
        keys.update(one.key for one in found)
        reasons |= wrong
    reasons |= dict.fromkeys(documents.leaves.strangers(documents.version, documents.bucket_of), ADDED)
    return keys, reasons


def _random_documents(documents: Documents, keys: int, chance: random.Random) -> list[Kept]:
    buckets = list(range(BUCKETS * documents.partitions))
    chance.shuffle(buckets)
    found: list[Kept] = []
    for start in range(0, len(buckets), AT_ONCE):
        if len(found) >= keys:
            break
        found += documents.leaves.kept(documents.version, buckets[start : start + AT_ONCE])
    chance.shuffle(found)
    return found[:keys]


def _differing(documents: Documents, positions: Mapping[TopicPartition, int], found: list[Kept]) -> tuple[str, ...]:
    """`positions` were read before the documents."""
    live: dict[str, Document] = {one.key: one.document or {} for one in found}
    scratch = refold(documents.source, Until(positions, live, live.keys()))
    ours = {one.key: UNREADABLE if one.document is None else content_hash(one.document) for one in found}
    theirs = {key: content_hash(scratch.get(key, {})) for key in live}
    return compare(ours, theirs).differing
