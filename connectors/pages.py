"""Port: pages of a partition, read by position from an asyncio loop (connectors.kafka_pages, connectors.memory_pages).

A page begins at an offset and holds what a reader of committed records sees from there on. Where records are missing
(compaction, transactions) it goes on with the next one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.log import TopicPartition

EARLIEST, LATEST = -2, -1  # places in place of an offset: the first record kept, the end
RECORD_OVERHEAD = 64  # bytes that a record counts for beside its content


class NotThere(Exception):
    """There is no such partition."""


class OutOfRange(Exception):
    """The log has no such position: it holds the offsets from `first` up to, but without, `end`."""

    def __init__(self, source: TopicPartition, offset: int, first: int, end: int) -> None:
        super().__init__(f"{source}: the log holds the offsets from {first} to {end}, it can't be read from {offset}")
        self.first, self.end = first, end


class LogRecord(NamedTuple):
    """One record. `timestamp` is in milliseconds since 1970, None if it has none; `appended`: the broker set it."""

    offset: int
    timestamp: int | None
    appended: bool
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]

    @property
    def size(self) -> int:
        """What it counts for in a page, in bytes; the same whenever it is read."""
        headers = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers + RECORD_OVERHEAD


@dataclass(frozen=True, slots=True)
class Page:
    """Records from `start` on, in order. The next page begins at `following`.

    `full`: it ends because it is full, so that it is the same whenever it is read while the log keeps it; else the end of
    the log was reached. `first` and `end`: what the log holds just now; records of open transactions are not counted.
    """

    start: int
    records: Sequence[LogRecord]
    following: int
    full: bool
    first: int
    end: int

    def cut(self, count: int) -> "Page":
        """Its first `count` records (at least one) as a full page; all of it if it has no more."""
        if count >= len(self.records):
            return self
        kept = self.records[:count]
        return Page(self.start, kept, kept[-1].offset + 1, True, self.first, self.end)


class PageReader(Protocol):
    """Every question may raise Away, and Busy while too many wait."""

    async def bounds(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        """The first offset kept and the end of each partition that is there."""

    async def find(self, source: TopicPartition, milliseconds: int) -> int:
        """The offset of the first record whose timestamp is not earlier; LATEST if there is none.

        Raises:
            NotThere: there is no such partition.
        """

    async def page(self, source: TopicPartition, start: int, most_records: int, most_bytes: int) -> Page:
        """The page that begins at an offset, EARLIEST or LATEST. It has at most `most_records`, and of those that count for
        `most_bytes` together, but at least one, however large, if there is any.

        Raises:
            NotThere: there is no such partition.
            OutOfRange: the log does not reach to `start`.
        """

    def close(self) -> None:
        """No more questions will come. Waits for those under way."""
