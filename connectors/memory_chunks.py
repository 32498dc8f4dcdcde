"""Hashes over rows in memory (port Chunks)."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.chunks import Range
from connectors.memory import MemoryRowStore
from schemas.log import TopicPartition
from schemas.row_bytes import row_hashes

Row = tuple[Any, ...]


class MemoryChunks:
    """Of the rows in a MemoryRowStore."""

    def __init__(self, store: MemoryRowStore) -> None:
        self._store = store
        self._key = store.table.names.index(store.table.key)

    def computed(self, version: int, rows_of: Range, size: int) -> dict[int, bytes]:
        groups: dict[int, list[Row]] = {}
        for row in self._rows(version, rows_of):
            groups.setdefault(row[2] // size, []).append(row)
        return {number: self._hash(rows) for number, rows in groups.items()}

    def by_key(self, version: int, rows_of: Range, keys: Sequence[str] | None = None) -> dict[str, bytes]:
        groups: dict[str, list[Row]] = {}
        for row in self._rows(version, rows_of):
            if keys is None or row[self._key] in keys:
                groups.setdefault(row[self._key], []).append(row)
        return {key: self._hash(rows) for key, rows in groups.items()}

    def keys(self, version: int, until: Mapping[TopicPartition, int]) -> int:
        ranges = (Range(source, 0, position) for source, position in until.items())
        return len({row[self._key] for one in ranges for row in self._rows(version, one)})

    def sample(self, version: int, keys: int) -> list[str]:
        with self._store.reading(version) as held:
            found = sorted({row[self._key] for row in held.content.values()})
        return random.sample(found, min(keys, len(found)))

    def sealed(self, version: int) -> dict[TopicPartition, dict[int, bytes]]:
        with self._store.reading(version) as held:
            return {source: dict(kept) for source, kept in held.chunks.items()}

    def seal(self, version: int, source: TopicPartition, hashes: Mapping[int, bytes]) -> None:
        if not hashes:
            return
        with self._store.reading(version) as held:
            held.chunks.setdefault(source, {}).update(hashes)

    def close(self) -> None:
        """Nothing is open."""

    def _rows(self, version: int, rows_of: Range) -> list[Row]:
        source, start, stop = rows_of
        with self._store.reading(version) as held:
            return [row for row in held.content.values() if row[:2] == source and start <= row[2] < stop]

    def _hash(self, rows: list[Row]) -> bytes:
        return hashlib.sha256(b"".join(sorted(row_hashes(self._store.table, rows)))).digest()
