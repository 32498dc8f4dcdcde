"""Records with all that the log keeps of them: what an archive holds, and what is written back from it."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.log import Batch, TopicPartition, offsets_of

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Records:
    """All data records of a partition with `read_from` <= offset < `read_to`, oldest first; there may be none.

    The sequences belong together. `timestamps` are milliseconds since 1970, as the log has them. Offsets rise strictly and
    leave holes where the log holds no data record (see schemas.log.Batch).
    """

    source: TopicPartition
    offsets: Sequence[int]
    timestamps: Sequence[int]
    keys: Sequence[bytes | None]
    headers: Sequence[Headers]
    values: Sequence[bytes | None]
    read_from: int
    read_to: int

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def following(self) -> int:
        """The offset behind the last one that was read."""
        return self.read_to

    @property
    def size(self) -> int:
        """Bytes of keys and values."""
        return sum(len(part) for column in (self.keys, self.values) for part in column if part)

    def batch(self) -> Batch:
        """What a fold reads of them."""
        return Batch(self.source, self.offsets, self.keys, self.values, 0, self.read_from, self.read_to)

    def between(self, start: int, stop: int) -> "Records":
        """Those with start <= offset < stop, which is within what was read."""
        low, high = bisect_left(self.offsets, start), bisect_left(self.offsets, stop)
        cut = slice(low, high)
        return Records(
            self.source,
            offsets_of(self.offsets[cut]) if low < high else range(start, start),
            self.timestamps[cut],
            self.keys[cut],
            self.headers[cut],
            self.values[cut],
            max(start, self.read_from),
            min(stop, self.read_to),
        )

    def pieces(self, most: int) -> "Iterator[Records]":
        """These in pieces of `most` records at most, without a break; one where there are none."""
        begins = self.read_from
        for at in range(most, len(self.offsets), most):
            yield self.between(begins, self.offsets[at])
            begins = self.offsets[at]
        yield self.between(begins, self.read_to)


def joined(parts: Sequence[Records]) -> Records:
    """Parts that follow each other without a break, at least one, as one."""
    offsets = [offset for part in parts for offset in part.offsets]
    return Records(
        parts[0].source,
        offsets_of(offsets) if offsets else range(parts[0].read_from, parts[0].read_from),
        [timestamp for part in parts for timestamp in part.timestamps],
        [key for part in parts for key in part.keys],
        [headers for part in parts for headers in part.headers],
        [value for part in parts for value in part.values],
        parts[0].read_from,
        parts[-1].read_to,
    )
