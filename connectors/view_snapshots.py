"""The port for snapshots of views of documents, and its version in memory.

A snapshot is the fold of all records below an offset of each partition, and nothing else: it is made from the log and the
snapshot before it, never from a view's store. For each key it says how late the records folded are, so that whoever asks
for an earlier time knows which documents hold too much.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from connectors.ports import Document

EIGHTHS = 7
"""`Head.most_event` and `most_received` hold for so many eighths of the keys."""


class Span(msgspec.Struct, frozen=True, array_like=True):
    """The records of a partition in [start, stop): their earliest event time and their earliest received time."""

    start: int
    stop: int
    event: int
    received: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot says of itself. Times are microseconds since 1970 UTC.

    `positions`: TOPIC/PARTITION -> the offset behind the last one folded; `corrections`: up to which offset of their
    topic corrections were applied; `spans`: all records below the positions, by partition; `routed`: topic ->
    whether every record so far has its document's key as its own and lies where that key says.

    The rest is found out as it is saved: `latest_...` is of all keys, `most_...` what seven eighths of them do not exceed.
    """

    view: str
    revision: int
    number: int
    made_at: int
    positions: Mapping[str, int]
    records: int
    corrections: int = 0
    spans: Mapping[str, tuple[Span, ...]] = {}
    routed: Mapping[str, bool] = {}
    keys: int = 0
    latest_event: int = 0
    latest_received: int = 0
    most_event: int = 0
    most_received: int = 0


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A document, and how late the latest of its records is by both times."""

    key: str
    event: int
    received: int
    document: Document

    def within(self, at: int, known: int) -> bool:
        """Whether all that it holds had happened by `at` and was received by `known`."""
        return self.event <= at and self.received <= known


class Unusable(Exception):
    """A snapshot can't be used; the message names it and says why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name


class ViewSnapshots(Protocol):
    """Where the snapshots of all views are kept."""

    def heads(self, view: str) -> tuple[list[Head], list[Unusable]]:
        """What there is of a view, newest first; and what can't be read."""

    def entry(self, head: Head, key: str) -> Entry | None:
        """The document of a key; None if no record of the snapshot touched it. Raises Unusable."""

    def entries(self, head: Head, after: str = "") -> Iterator[Entry]:
        """All documents whose key is greater than `after`, ascending. Raises Unusable."""

    def late(self, head: Head, at: int, known: int) -> Iterator[Entry]:
        """The documents that hold something later than `at` or `known`, ascending. Raises Unusable."""

    def check(self, head: Head) -> None:
        """Raises Unusable: not all of it can be read."""

    def save(self, head: Head, entries: Iterable[Entry]) -> Head:
        """Keep a snapshot, whole or not at all; `entries` ascend by key. Returns its head, with what was found out."""

    def drop(self, view: str, number: int) -> None:
        """Remove a snapshot, a damaged one too. Raises KeyError: there is none of this number."""


def with_totals(head: Head, times: list[tuple[int, int]]) -> Head:
    """`head` with what the (event, received) times of its entries say."""
    events, received = sorted(event for event, _ in times), sorted(late for _, late in times)
    at = max(0, len(times) * EIGHTHS // 8 - 1)
    if not times:
        return head
    return msgspec.structs.replace(
        head,
        keys=len(times),
        latest_event=events[-1],
        latest_received=received[-1],
        most_event=events[at],
        most_received=received[at],
    )


class MemoryViewSnapshots:
    """`ViewSnapshots` in a dictionary. `damage` makes one unusable."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, int], tuple[Head, list[Entry]]] = {}
        self._damaged: set[tuple[str, int]] = set()

    def damage(self, head: Head) -> None:
        self._damaged.add((head.view, head.number))

    def heads(self, view: str) -> tuple[list[Head], list[Unusable]]:
        mine = [head for (name, _), (head, _) in self._kept.items() if name == view]
        return sorted(mine, key=lambda head: -head.number), []

    def entry(self, head: Head, key: str) -> Entry | None:
        return next((entry for entry in self._entries(head) if entry.key == key), None)

    def entries(self, head: Head, after: str = "") -> Iterator[Entry]:
        return (entry for entry in self._entries(head) if entry.key > after)

    def late(self, head: Head, at: int, known: int) -> Iterator[Entry]:
        return (entry for entry in self._entries(head) if not entry.within(at, known))

    def check(self, head: Head) -> None:
        self._entries(head)

    def save(self, head: Head, entries: Iterable[Entry]) -> Head:
        kept = list(entries)
        if [entry.key for entry in kept] != sorted({entry.key for entry in kept}):
            raise ValueError("the entries of a snapshot ascend by key")
        head = with_totals(head, [(entry.event, entry.received) for entry in kept])
        self._kept[head.view, head.number] = head, kept
        return head

    def drop(self, view: str, number: int) -> None:
        del self._kept[view, number]
        self._damaged.discard((view, number))

    def _entries(self, head: Head) -> list[Entry]:
        at = head.view, head.number
        if at in self._damaged or at not in self._kept:
            raise Unusable(f"{head.view}/{head.number}", "was told to be damaged" if at in self._damaged else "is gone")
        return self._kept[at][1]
