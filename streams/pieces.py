"""Large pieces out of small batches: a fold that nobody waits for costs less a record, the more records it takes at once
(load and commit of a document are paid once a piece, and columns are decoded by the hundred thousand)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from schemas.log import Batch, offsets_of

# A commit is one step of the store, in which it answers nobody: a piece touches at most about so many documents.
MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """When a piece is full: so many records, bytes of values, or different keys of records."""

    records: int = 200_000
    bytes: int = 96 << 20
    keys: int = MOST_KEYS


class _Piece:
    """Batches that follow each other, being put together."""

    def __init__(self, first: Batch) -> None:
        self.first = first
        self.offsets: list[int] = []
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []
        self.bytes = 0
        self.different: set[bytes | None] = set()
        self.following = first.begins

    def add(self, batch: Batch) -> None:
        self.offsets.extend(batch.offsets)
        self.keys.extend(batch.keys)
        self.values.extend(batch.values)
        self.bytes += _bytes(batch.values)
        self.different.update(batch.keys)
        self.following = batch.following

    def full(self, size: Size) -> bool:
        return len(self.offsets) >= size.records or self.bytes >= size.bytes or len(self.different) >= size.keys

    def batch(self) -> Batch:
        begins = self.first.begins
        offsets = offsets_of(self.offsets) if self.offsets else range(begins, begins)
        return Batch(self.first.source, offsets, self.keys, self.values, self.first.epoch, begins, self.following)


def _bytes(values: Sequence[bytes | None]) -> int:
    try:
        return sum(map(len, values))  # type: ignore[arg-type]
    except TypeError:  # tombstones have no length; few topics have any
        return sum(len(value) for value in values if value)


def pieces(batches: Iterable[Batch], size: Size) -> Iterator[Batch]:
    """The same records in pieces that reach `size` (with the batch that fills them) or end where the batches do. A batch
    that does not follow the one before it begins a piece."""
    piece: _Piece | None = None
    for batch in batches:
        if piece is not None and batch.begins != piece.following:
            yield piece.batch()
            piece = None
        piece = piece or _Piece(batch)
        piece.add(batch)
        if piece.full(size):
            yield piece.batch()
            piece = None
    if piece is not None:
        yield piece.batch()
