"""The log's coordinates: which partition, which offsets, which records.

These types carry no behaviour beyond arithmetic on offsets, so every layer may use them.
"""

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
    """Consecutive data records of one partition, oldest first; never empty.

    `offsets[i]`, `keys[i]` and `values[i]` belong together. A value of None is a tombstone, b"" an empty record.
    Offsets rise strictly; they may leave holes where the log holds control records or was compacted.

    `epoch` is the assignment under which the records were read: a batch of an earlier epoch than the partition's
    present one is stale and must be dropped.
    """

    source: TopicPartition
    offsets: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    epoch: int = 0

    @property
    def first(self) -> int:
        return self.offsets[0]

    @property
    def last(self) -> int:
        return self.offsets[-1]

    def __len__(self) -> int:
        return len(self.offsets)

    def since(self, offset: int) -> "Batch | None":
        """The records at `offset` and later, or None when there are none: what is left of a redelivery."""
        if self.first >= offset:
            return self
        if self.last < offset:
            return None
        start = next(i for i, o in enumerate(self.offsets) if o >= offset)
        return Batch(self.source, self.offsets[start:], self.keys[start:], self.values[start:], self.epoch)


def offsets_of(numbers: Sequence[int]) -> Sequence[int]:
    """`numbers` as a range where they have no holes (the common case, a thousandth of the memory)."""
    if numbers and numbers[-1] - numbers[0] + 1 == len(numbers):
        return range(numbers[0], numbers[-1] + 1)
    return numbers
