"""The Merkle roots of a version of a view of documents, from the hashes that its store keeps of them (port Leaves).

The hashes of documents are written with the documents; those of buckets are worked out when they are needed, from the
buckets in which something changed since the last time only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.leaves import Cut, Leaves
from projections.canonical import BUCKETS, bucket_hash, document_roots, view_root
from schemas.log import TopicPartition

STRIDE = 512  # buckets that are looked through in one step: bounds the time that the store is busy


@dataclass(frozen=True, slots=True)
class Roots:
    """The roots of a version's partitions (by number of documents, by TOPIC/PARTITION of rows) where everything up to these
    positions is folded and nothing else."""

    positions: Mapping[TopicPartition, int]
    partitions: Mapping[str, bytes]

    @property
    def root(self) -> bytes:
        """The root of the view."""
        return view_root(self.partitions)


def seal(leaves: Leaves, version: int, partitions: int) -> int:
    """Work out the hashes of the buckets in which something changed; returns how many these were."""
    worked = 0
    for start in range(0, BUCKETS * partitions, STRIDE):
        changed = leaves.unsealed(version, range(start, min(start + STRIDE, BUCKETS * partitions)))
        if changed:
            leaves.seal(version, {one.bucket: (one.mark, bucket_hash(one.leaves)) for one in changed})
        worked += len(changed)
    return worked


def document_cut(leaves: Leaves, version: int, partitions: int) -> Cut:
    """The hashes of all buckets at one moment, few of them unsealed."""
    seal(leaves, version, partitions)
    return leaves.cut(version, BUCKETS * partitions)


def hashes_of(cut: Cut) -> dict[int, bytes]:
    """The hashes of the buckets of a cut."""
    return cut.sealed | {bucket: bucket_hash(held) for bucket, held in cut.unsealed.items()}


def roots_of(cut: Cut, partitions: int) -> Roots:
    return Roots(cut.positions, document_roots(hashes_of(cut), partitions))
