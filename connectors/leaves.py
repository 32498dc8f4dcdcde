"""The port behind the proof of a view of documents: the hashes of its documents, and of their buckets, that are written in
the same step as the documents (docs/proof.md). What they are is projections.canonical's; here they are 32 bytes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from connectors.ports import Document, Leaf
from schemas.log import TopicPartition


class Cut(NamedTuple):
    """A version's hashes at one moment: the positions up to which everything is folded, the hashes of the buckets where they
    are known (`sealed`), and of the other ones those of their documents, by key."""

    positions: dict[TopicPartition, int]
    sealed: dict[int, bytes]
    unsealed: dict[int, dict[str, bytes]]


class Unsealed(NamedTuple):
    """A bucket whose hash is not known, with a mark that is another one as soon as something in it changes."""

    bucket: int
    mark: bytes
    leaves: dict[str, bytes]


class Kept(NamedTuple):
    """A document and the hash that is kept of it, read in one step. `leaf` None: no hash is kept. `document` is empty where
    there is none, and None where what is there can't be read: no text, or no document at all."""

    key: str
    leaf: bytes | None
    document: Document | None
    revision: int


class Leaves(Protocol):
    """The hashes of one view's documents. All calls may raise `Away`."""

    def complete(self, version: int) -> bool:
        """Whether all documents of a version have a hash: not those of versions that were made before there were hashes."""

    def unsealed(self, version: int, buckets: range) -> list[Unsealed]:
        """The buckets among `buckets` whose hash is not known."""

    def seal(self, version: int, hashes: Mapping[int, tuple[bytes, bytes]]) -> None:
        """Keep the hashes of buckets: bucket -> the mark that it must still have, its hash."""

    def cut(self, version: int, buckets: int) -> Cut:
        """All hashes at one moment, of a view that has so many buckets."""

    def kept(self, version: int, buckets: Sequence[int]) -> list[Kept]:
        """What is kept in some buckets."""

    def looked_up(self, version: int, keys: Mapping[str, int]) -> list[Kept]:
        """What is kept of some keys, given with their buckets, in their order."""

    def strangers(self, version: int, bucket_of: Callable[[str], int]) -> Iterator[str]:
        """Keys of documents without a hash."""

    def replace(self, version: int, key: str, revision: int, document: Document, leaf: Leaf) -> None:
        """Put a document in the place of the one that has this revision (0: there is none, or none with a revision), and its
        hash; an empty document removes it and its hash.

        Raises:
            Conflict: the document has another revision: it was folded on meanwhile.
            Superseded: the version was dropped or never prepared.
        """

    def close(self) -> None: ...


@dataclass
class Bucket:
    """A bucket in memory. `hash` is None since a document changed; `turn` counts the changes."""

    leaves: dict[str, bytes] = field(default_factory=dict)
    hash: bytes | None = None
    turn: int = 0

    def keep(self, key: str, leaf: bytes | None) -> None:
        """Keep the hash of a document, or forget it."""
        if leaf is None:
            self.leaves.pop(key, None)
        else:
            self.leaves[key] = leaf
        self.hash = None
        self.turn += 1
