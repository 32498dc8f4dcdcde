"""The log's coordinates: which partition, which offsets, which records.

These types carry no behaviour beyond arithmetic on offsets, so every layer may use them.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class TopicPartition(NamedTuple):
    """One partition of one topic: the unit of order, of position and of ownership."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"

    @classmethod
    def parse(cls, text: str) -> "TopicPartition":
        """The reverse of `str`.

        Raises:
            ValueError: when `text` is not TOPIC/PARTITION.
        """
        topic, slash, partition = text.rpartition("/")
        if not slash or not topic or not partition.isdecimal():
            raise ValueError(f"not a TOPIC/PARTITION: {text!r}")
        return cls(topic, int(partition))


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive data records of one partition, oldest first.

    `offsets[i]`, `keys[i]` and `values[i]` belong together. A value of None is a tombstone, b"" an empty record.
    Offsets rise strictly; they may leave holes where the log holds control records and records of aborted transactions,
    which the broker numbers but does not give out, or was compacted.

    `epoch` is the assignment under which the records were read: a batch of an earlier epoch than the partition's
    present one is stale and must be dropped.

    `read_from` and `read_to` say which offsets were read for this batch without a break, [from, to): every data record
    among them is in it, so that a hole at its edges is known to be one. Left out, the batch vouches for nothing before
    its first record and behind its last one. Given both, it may be empty: there was nothing but control records.
    """

    source: TopicPartition
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    epoch: int = 0
    read_from: int | None = None
    read_to: int | None = None

    @property
    def first(self) -> int:
        return self.offsets[0]

    @property
    def last(self) -> int:
        return self.offsets[-1]

    @property
    def begins(self) -> int:
        """The first offset that this batch vouches for."""
        return self.offsets[0] if self.read_from is None else self.read_from

    @property
    def following(self) -> int:
        """The offset behind the last one that this batch vouches for: where the next batch begins."""
        return self.offsets[-1] + 1 if self.read_to is None else self.read_to

    def __len__(self) -> int:
        return len(self.offsets)

    def since(self, offset: int) -> "Batch | None":
        """What is left of a redelivery for one who has seen everything below `offset`: the records at it and later. None
        where the batch does not go beyond it."""
        if self.following <= offset:
            return None
        if self.begins >= offset:
            return self
        start = bisect_left(self.offsets, offset)
        rest = (self.offsets[start:], self.keys[start:], self.values[start:])
        return Batch(self.source, *rest, self.epoch, offset, self.following)


def offsets_of(numbers: Sequence[int]) -> Sequence[int]:
    """`numbers` as a range where they have no holes (the common case, a thousandth of the memory)."""
    if numbers and numbers[-1] - numbers[0] + 1 == len(numbers):
        return range(numbers[0], numbers[-1] + 1)
    return numbers
