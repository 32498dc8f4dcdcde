"""What a view holds, as hashes that everybody comes to who folds the same records: whatever the order, the batches and the
process in which they were folded. Pure; docs/proof.md describes it for those who check it with other tools.

Documents. The canonical bytes of a document are the msgpack array [key, {field: text}] with the fields sorted by their
UTF-8 bytes and every header in its shortest form; its leaf hash is SHA-256 of a zero byte and these bytes (as in RFC 9162).
Keys are spread over buckets by the hash that Kafka's clients spread them over partitions with; BUCKETS buckets are a
partition. The hash of a bucket is the leaf hash of its documents' leaf hashes, side by side, sorted by key; the root of a
partition is the root of the tree (RFC 9162) over its buckets in their order.

Rows. See schemas.row_bytes for the bytes of a row. The rows of each partition of a topic are cut into chunks of CHUNK
offsets; the hash of a chunk is SHA-256 of its rows' hashes, side by side, sorted; the root of a partition is that of the
tree over the leaf hashes of (number of the chunk as 8 bytes, its hash), of the chunks that hold rows, in their order.

The root of a view is that of the tree over the leaf hashes of (name of the partition, zero byte, its root), sorted by name.
"""

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from schemas.partitioner import murmur2
from schemas.transparency.merkle import leaf_hash, node_hash, restored

BUCKETS = 2_048
"""Of a partition: with a million keys in six partitions a bucket holds about 80, which is little to read again when one of
them changes, and still a compact encoding for Redis."""

CHUNK = 10_000
"""Offsets of a chunk of rows. A change of this number, or of BUCKETS, changes every root."""

EMPTY_BUCKET = leaf_hash(b"")
EMPTY_CHUNK = hashlib.sha256(b"").digest()

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def document_bytes(key: str, document: Mapping[str, str]) -> bytes:
    """The canonical bytes of a document."""
    return _encode((key, document))


def document_leaf(key: str, document: Mapping[str, str]) -> bytes:
    """The leaf hash of a document."""
    return hashlib.sha256(b"\x00" + _encode((key, document))).digest()


def bucket_of(key: str, partitions: int) -> int:
    """The bucket of a key in a view of so many partitions: 0 to BUCKETS * partitions - 1."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % (BUCKETS * partitions)


def partition_of_bucket(bucket: int, partitions: int) -> int:
    """The partition of a bucket: the one that Kafka's clients put its keys into."""
    return bucket % partitions


def bucket_hash(leaves: Mapping[str, bytes]) -> bytes:
    """The hash of a bucket, from the leaf hashes of its keys."""
    return leaf_hash(b"".join(leaves[key] for key in sorted(leaves)))


def document_roots(buckets: Mapping[int, bytes], partitions: int) -> dict[str, bytes]:
    """The root of each partition ("0", "1", ...) from the hashes of buckets; one that is left out is empty.

    Raises:
        ValueError: a bucket that a view of so many partitions does not have.
    """
    if any(not 0 <= bucket < BUCKETS * partitions for bucket in buckets):
        raise ValueError(f"a bucket that a view of {partitions} partitions does not have")
    within: list[dict[int, bytes]] = [{} for _ in range(partitions)]
    for bucket, hashed in buckets.items():
        within[partition_of_bucket(bucket, partitions)][bucket // partitions] = hashed
    return {str(partition): _sparse_root(places) for partition, places in enumerate(within)}


def _sparse_root(nodes: Mapping[int, bytes]) -> bytes:
    """The root of a tree of BUCKETS leaves (a power of two), of which those left out are empty buckets."""
    empty = EMPTY_BUCKET
    for _ in range(BUCKETS.bit_length() - 1):
        parents = {place >> 1 for place in nodes}
        nodes = {place: node_hash(nodes.get(2 * place, empty), nodes.get(2 * place + 1, empty)) for place in parents}
        empty = node_hash(empty, empty)
    return nodes.get(0, empty)


def roots_of_leaves(leaves: Mapping[str, bytes], partitions: int) -> dict[str, bytes]:
    """The root of each partition from the leaf hashes of all keys of a view."""
    return document_roots({bucket: bucket_hash(held) for bucket, held in spread(leaves, partitions).items()}, partitions)


def spread(leaves: Mapping[str, bytes], partitions: int) -> dict[int, dict[str, bytes]]:
    """Leaf hashes by bucket."""
    buckets: dict[int, dict[str, bytes]] = {}
    for key, leaf in leaves.items():
        buckets.setdefault(bucket_of(key, partitions), {})[key] = leaf
    return buckets


def chunk_hash(rows: Iterable[bytes]) -> bytes:
    """The hash of a chunk, from the hashes of its rows in any order."""
    return hashlib.sha256(b"".join(sorted(rows))).digest()


def row_root(chunks: Mapping[int, bytes]) -> bytes:
    """The root of a partition of a topic, from the hashes of its chunks by their numbers; empty ones don't count."""
    held = (number for number in sorted(chunks) if chunks[number] != EMPTY_CHUNK)
    return restored(b"".join(leaf_hash(number.to_bytes(8, "big") + chunks[number]) for number in held)).root()


def view_root(roots: Mapping[str, bytes]) -> bytes:
    """The root of a view, from those of its partitions: by number of a view of documents, by TOPIC/PARTITION of rows."""
    return restored(b"".join(leaf_hash(name.encode() + b"\x00" + roots[name]) for name in sorted(roots))).root()
