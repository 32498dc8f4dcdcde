"""In-memory versions of the ports: for tests, and for whoever wants to run a view without a store.

Each of them can be told to be away: set `away` and every call raises `Away` until it is cleared.
"""

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import polars as pl

from connectors.leaves import Bucket
from connectors.memory_views import MemoryViews
from connectors.ports import Away, Change, Conflict, DeadLetter, Document, Loaded, Moved
from connectors.rows import DTYPES, canonical, check_passed, check_table
from schemas.log import Batch, TopicPartition, offsets_of
from schemas.table import Table

T = TypeVar("T")
Row = tuple[Any, ...]


class MemoryKeyedStore(MemoryViews[Loaded]):
    """A `KeyedStore` in a dictionary."""

    def load(self, version: int, keys: Sequence[str]) -> list[Loaded]:
        with self._lock:
            content = self._read(version).content
            found = [content.get(key, Loaded({}, 0)) for key in keys]
        return [Loaded(dict(loaded.document), loaded.revision) for loaded in found]

    def commit(
        self, version: int, source: TopicPartition, expected: int, following: int, changes: Mapping[str, Change]
    ) -> None:
        with self._lock:
            target = self._written(version)
            actual = target.positions.get(source, 0)
            if actual != expected:
                raise Moved(source, expected, actual)
            before = {key: target.content.get(key, Loaded({}, 0)) for key in changes}
            for key, change in changes.items():
                if before[key].revision != change.revision:
                    raise Conflict(f"{key}: revision is {before[key].revision}, expected {change.revision}")
            for key, change in changes.items():
                document = {**before[key].document, **change.put}
                for name in change.remove:
                    document.pop(name, None)
                target.content[key] = Loaded(document, change.revision + 1)
                if change.leaf is not None:
                    target.buckets.setdefault(change.leaf.bucket, Bucket()).keep(key, change.leaf.hash)
            target.positions[source] = following

    def scan(self, version: int) -> Iterator[tuple[str, Document]]:
        with self._lock:
            content = dict(self._read(version).content)
        for key, loaded in content.items():
            yield key, dict(loaded.document)


class MemoryRowStore(MemoryViews[Row]):
    """A `RowStore` in a dictionary."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        check_table(table)
        self.table = table
        self._identity = [table.names.index(name) for name in table.identity]

    def append(self, version: int, batch_of: TopicPartition, first: int, following: int, rows: pl.DataFrame) -> None:
        frame = canonical(self.table, batch_of, first, following, rows)
        with self._lock:
            target = self._written(version)
            actual = target.positions.get(batch_of, 0)
            if actual > first:
                raise Moved(batch_of, first, actual)
            for row in frame.iter_rows():
                target.content[tuple(row[i] for i in self._identity)] = row
            target.positions[batch_of] = following

    def amend(self, version: int, source: TopicPartition, first: int, following: int, rows: pl.DataFrame) -> None:
        frame = canonical(self.table, source, first, following, rows)
        with self._lock:
            target = self._written(version)
            check_passed(self.table, source, following - 1, target.positions.get(source, 0))
            theirs = [name for name, row in target.content.items() if row[:2] == source and first <= row[2] < following]
            for identity in theirs:
                del target.content[identity]
            for row in frame.iter_rows():
                target.content[tuple(row[i] for i in self._identity)] = row

    def frame(self, version: int) -> pl.DataFrame:
        """All rows of a version, in the table's columns, in no particular order."""
        schema = {column.name: DTYPES[column.type] for column in self.table.columns}
        return pl.DataFrame(list(self._read(version).content.values()), schema=schema, orient="row")

    def digests(self, version: int, until: Mapping[TopicPartition, int]) -> dict[str, str]:
        key = self.table.names.index(self.table.key)
        texts: dict[str, list[str]] = defaultdict(list)
        for row in list(self._read(version).content.values()):
            topic, partition, offset = row[:3]
            if offset < until.get(TopicPartition(topic, partition), 0):
                texts[row[key]].append(repr(row))
        return {
            name: f"{len(rows)}:{hashlib.blake2b(chr(0).join(sorted(rows)).encode(), digest_size=16).hexdigest()}"
            for name, rows in texts.items()
        }

    def counts(self, version: int, source: TopicPartition, start: int, stop: int) -> dict[int, int]:
        found: dict[int, int] = defaultdict(int)
        for topic, partition, offset, *_ in list(self._read(version).content.values()):
            if (topic, partition) == source and start <= offset < stop:
                found[offset] += 1
        return dict(found)


@dataclass
class _Kept:
    """The records of one partition. `first` is the oldest offset kept, `end` the one that the next record gets; `held` is
    where a transaction began that is still open."""

    first: int = 0
    end: int = 0
    held: int | None = None
    offsets: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)

    @property
    def readable(self) -> int:
        """The offset behind the last record that can be read."""
        return self.end if self.held is None else self.held


class MemoryLog:
    """A `LogReader` over records in memory.

    Args:
        partitions: partitions per topic.
        batch_records: most records of one batch.
    """

    def __init__(self, partitions: Mapping[str, int], batch_records: int = 500) -> None:
        self.away = False
        self._batch_records = batch_records
        self._kept = {TopicPartition(t, p): _Kept() for t, count in partitions.items() for p in range(count)}

    def append(self, source: TopicPartition, key: bytes | None, value: bytes | None, offset: int | None = None) -> int:
        """Add a record; returns its offset. An `offset` beyond the end leaves a hole, as a control record does."""
        kept = self._kept[source]
        at = kept.end if offset is None else offset
        if at < kept.end:
            raise ValueError(f"{source}: offset {at} is below the end {kept.end}")
        kept.offsets.append(at)
        kept.keys.append(key)
        kept.values.append(value)
        kept.end = at + 1
        return at

    def skip(self, source: TopicPartition, offsets: int) -> None:
        """Move the end on without records, as an aborted transaction does."""
        self._kept[source].end += offsets

    def hold(self, source: TopicPartition) -> None:
        """What is added from now on can't be read before `release`, as if it belonged to an open transaction."""
        self._kept[source].held = self._kept[source].end

    def release(self, source: TopicPartition) -> None:
        self._kept[source].held = None

    def truncate(self, source: TopicPartition, before: int) -> None:
        """Forget the records below `before`, as retention does."""
        kept = self._kept[source]
        cut = bisect_left(kept.offsets, before)
        del kept.offsets[:cut], kept.keys[:cut], kept.values[:cut]
        kept.first = max(kept.first, min(before, kept.end))

    def bounds(self, topics: Iterable[str]) -> dict[TopicPartition, tuple[int, int]]:
        self._answer()
        wanted = set(topics)
        unknown = wanted - {source.topic for source in self._kept}
        if unknown:
            raise Away(f"there is no topic {', '.join(sorted(unknown))} yet")
        return {source: (kept.first, kept.readable) for source, kept in self._kept.items() if source.topic in wanted}

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        self._answer()
        if start >= stop:
            return
        kept = self._kept[source]
        if not kept.first <= start <= kept.readable:
            raise ValueError(
                f"{source}: the log holds the offsets from {kept.first} to {kept.readable}, it can't be read from {start}"
            )
        stop = min(stop, kept.readable)
        low, high = bisect_left(kept.offsets, start), bisect_left(kept.offsets, stop)
        following = start
        for at in range(low, high, self._batch_records):
            part = slice(at, min(at + self._batch_records, high))
            begins, following = following, stop if part.stop == high else kept.offsets[part.stop - 1] + 1
            offsets = offsets_of(kept.offsets[part])
            yield Batch(source, offsets, kept.keys[part], kept.values[part], 0, begins, following)
        if following < stop:
            yield Batch(source, range(following, following), [], [], 0, following, stop)

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self) -> None:
        if self.away:
            raise Away("the in-memory log was told to be away")


class MemoryDeadLetters:
    """`DeadLetters` in a list."""

    def __init__(self) -> None:
        self.away = False
        self.letters: list[DeadLetter] = []

    def set_aside(self, letters: Sequence[DeadLetter]) -> None:
        if self.away:
            raise Away("the in-memory dead letters were told to be away")
        self.letters.extend(letters)
