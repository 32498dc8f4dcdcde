"""Making documents of a view again from the log, while the view lives.

A document is read with its revision first, the positions of the view after that: as long as the revision stays, no record of
its key was folded between the two, so what the log implies below the positions is what it must be. The store puts that in
its place if the revision still is the same; if live folding was faster, what came meanwhile is folded on, for another try.
Live folding meets another revision in turn, loads the document anew and folds on from there.
"""

from collections.abc import Iterable, Mapping

from connectors.leaves import Kept
from connectors.ports import Conflict, Document, Leaf
from projections.canonical import document_leaf
from schemas.log import TopicPartition
from streams.prove import Documents
from streams.refold import Until, fold_on, refold

MOST_TRIES = 50  # live folding that is faster so often in a row is a key that never rests


def heal(documents: Documents, keys: Iterable[str]) -> dict[str, bytes | None]:
    """Make the documents of `keys` again, in one pass over the log. Returns the hashes of those that were not what the log
    implies, None where no record implies a document, so that it was removed.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
        Conflict: a document is written faster than it can be replaced.
        Superseded: the version was dropped.
    """
    found = _looked_up(documents, keys)
    positions = documents.store.positions(documents.version)
    scratch = refold(documents.source, Until(positions, only=found.keys()))
    healed: dict[str, bytes | None] = {}
    for key, kept in found.items():
        done, changed = _replaced(documents, kept, positions, scratch.get(key, {}))
        if changed:
            healed[key] = document_leaf(key, done) if done else None
    return healed


def _looked_up(documents: Documents, keys: Iterable[str]) -> dict[str, Kept]:
    buckets = {key: documents.bucket_of(key) for key in keys}
    return {kept.key: kept for kept in documents.leaves.looked_up(documents.version, buckets)}


def _replaced(
    documents: Documents, kept: Kept, positions: Mapping[TopicPartition, int], document: Document
) -> tuple[Document, bool]:
    """The document that the log implies, and whether it had to be put in the place of another one."""
    key = kept.key
    scratch = {key: document} if document else {}
    for attempt in range(MOST_TRIES):
        implied = scratch.get(key, {})
        leaf = document_leaf(key, implied)
        if kept.document == implied and kept.leaf == (leaf if implied else None):
            return implied, False
        try:
            documents.leaves.replace(documents.version, key, kept.revision, implied, Leaf(documents.bucket_of(key), leaf))
            return implied, True
        except Conflict:
            if attempt + 1 == MOST_TRIES:
                raise
        kept = _looked_up(documents, [key])[key]
        reached, positions = positions, documents.store.positions(documents.version)
        for source, position in positions.items():
            until = Until(positions, only=[key])
            fold_on(documents.source, source, (reached.get(source, 0), position), until, scratch)
    raise AssertionError("not reached")
