"""The port for snapshots of deciders' states, and its version in memory. A snapshot is a saving of time and nothing more:
without one, a state is folded from the log's beginning."""

from typing import NamedTuple, Protocol

import msgspec

from connectors.ports import Away


class SnapshotKey(NamedTuple):
    """Whose state: one partition of a decider, by one revision of its code."""

    decider: str
    partition: int
    revision: int


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """A state after the events below the offset `following`. `newest` and `newest_id` are the offset and id of the last of
    them: a log that holds another event there is not the one that the snapshot is of."""

    following: int
    newest: int
    newest_id: str
    state: bytes


class Snapshots(Protocol):
    """Where the newest snapshot of each state is kept. All calls may raise Away."""

    def load(self, key: SnapshotKey) -> Snapshot | None:
        """The newest one; None where there is none, or none that can be read."""

    def save(self, key: SnapshotKey, snapshot: Snapshot) -> None:
        """Take the place of the one before."""


class MemorySnapshots:
    """`Snapshots` in a dictionary."""

    def __init__(self) -> None:
        self.away = False
        self.kept: dict[SnapshotKey, Snapshot] = {}

    def load(self, key: SnapshotKey) -> Snapshot | None:
        self._answer()
        return self.kept.get(key)

    def save(self, key: SnapshotKey, snapshot: Snapshot) -> None:
        self._answer()
        self.kept[key] = snapshot

    def _answer(self) -> None:
        if self.away:
            raise Away("the snapshots in memory were told to be away")
