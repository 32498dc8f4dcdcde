"""The port behind the proof of a view of rows: hashes over its rows, worked out where the rows are (docs/proof.md). What is
hashed is said in schemas.row_bytes and projections.canonical."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.log import TopicPartition


class Range(NamedTuple):
    """The records [start, stop) of a partition."""

    source: TopicPartition
    start: int
    stop: int


class Chunks(Protocol):
    """Hashes of one view's rows, as readers see them. All calls may raise `Away`."""

    def computed(self, version: int, rows_of: Range, size: int) -> dict[int, bytes]:
        """The hash of each chunk of `size` offsets (chunk n: from n * size) over the rows of these records; chunks without
        rows are left out."""

    def by_key(self, version: int, rows_of: Range, keys: Sequence[str] | None = None) -> dict[str, bytes]:
        """For each key (or only these) a hash over its rows of these records, made as that of a chunk is."""

    def keys(self, version: int, until: Mapping[TopicPartition, int]) -> int:
        """How many keys have rows of records below these offsets."""

    def sample(self, version: int, keys: int) -> list[str]:
        """So many random keys, or all where there are not so many."""

    def sealed(self, version: int) -> dict[TopicPartition, dict[int, bytes]]:
        """The hashes of chunks that were kept."""

    def seal(self, version: int, source: TopicPartition, hashes: Mapping[int, bytes]) -> None:
        """Keep hashes of chunks, in the place of those that may be kept of them; `drop` of the version forgets them."""

    def close(self) -> None: ...
