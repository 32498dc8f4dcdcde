"""What the in-memory stores of documents and of rows have in common: versions, the live one, positions, facts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Generic, TypeVar

from connectors.leaves import Bucket
from connectors.ports import Away, Superseded
from schemas.log import TopicPartition

T = TypeVar("T")


@dataclass
class Version(Generic[T]):
    """What one version of a view holds: documents by key, or rows by identity."""

    content: dict[Any, T] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    buckets: dict[int, Bucket] = field(default_factory=dict)
    chunks: dict[TopicPartition, dict[int, bytes]] = field(default_factory=dict)


class MemoryViews(Generic[T]):
    """What keyed and row stores have in common: versions, the live one, positions."""

    def __init__(self) -> None:
        self.away = False
        self._lock = RLock()
        self._live = 1
        self._versions: dict[int, Version[T]] = {}

    def _answer(self) -> None:
        if self.away:
            raise Away("the in-memory store was told to be away")

    def _written(self, version: int) -> Version[T]:
        """The version to write to."""
        self._answer()
        if version not in self._versions:
            raise Superseded(f"version {version} was dropped or never prepared")
        return self._versions[version]

    def _read(self, version: int) -> Version[T]:
        """The version to read from; one that is not there reads as an empty one."""
        self._answer()
        return self._versions.get(version, Version())

    @contextmanager
    def reading(self, version: int) -> Iterator[Version[T]]:
        """The version as it is, and as it stays meanwhile."""
        with self._lock:
            yield self._read(version)

    @contextmanager
    def writing(self, version: int) -> Iterator[Version[T]]:
        """The same, to be written to."""
        with self._lock:
            yield self._written(version)

    def live(self) -> int:
        self._answer()
        return self._live

    def versions(self) -> list[int]:
        self._answer()
        return sorted(self._versions)

    def prepare(self, version: int) -> None:
        self._answer()
        with self._lock:
            self._versions.setdefault(version, Version())

    def positions(self, version: int) -> dict[TopicPartition, int]:
        return dict(self._read(version).positions)

    def facts(self, version: int) -> dict[str, str]:
        return dict(self._read(version).facts)

    def note(self, version: int, facts: Mapping[str, str | None]) -> None:
        with self._lock:
            target = self._written(version)
            noted = {**target.facts, **facts}
            target.facts = {name: text for name, text in noted.items() if text is not None}

    def promote(self, version: int) -> None:
        self._answer()
        with self._lock:
            if version not in self._versions:
                raise ValueError(f"version {version} was never prepared")
            self._live = version

    def drop(self, version: int) -> None:
        self._answer()
        with self._lock:
            if version == self._live:
                raise ValueError(f"version {version} is live")
            self._versions.pop(version, None)

    def close(self) -> None:
        """Nothing is open."""
