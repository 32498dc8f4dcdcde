"""The ledger checked against itself: its log replayed, its tree computed anew, every signed head compared. Pure."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.certificate_messages import TreeHeadSigned
from schemas.messages import Event
from schemas.transparency.entries import Certified, as_leaf
from schemas.transparency.notes import BadNote, Head, NoteKey, Unsigned, opened
from streams.ledger.state import LedgerState, Misplaced


class Fault(NamedTuple):
    """What does not hold. `offset` of the event in the log, or -1 for what stands outside of it."""

    offset: int
    detail: str


@dataclass(slots=True)
class Replay:
    """The log as it was read. `digests`: SHA-256 of each certificate, by serial number.

    After a leaf that can't stand where it stands nothing more is known of the tree, so the replay ends there.
    """

    key: NoteKey
    state: LedgerState = field(default_factory=LedgerState)
    heads: int = 0
    head: TreeHeadSigned | None = None
    digests: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    ended: bool = False

    def read(self, event: Event, offset: int) -> None:
        """The next event."""
        if self.ended:
            return
        try:
            self._read(event)
        except Misplaced as misplaced:
            self.faults.append(Fault(offset, str(misplaced)))
            self.ended = True
        except (BadNote, Unsigned) as bad:
            self.faults.append(Fault(offset, f"the checkpoint of {self.state.tree.size} leaves: {bad}"))

    def _read(self, event: Event) -> None:
        leaf = as_leaf(event)
        if leaf is not None:
            self.state.enter(leaf)
            self.state.forget()
            if isinstance(leaf, Certified):
                self.digests[leaf.serial] = hashlib.sha256(leaf.certificate).digest()
        elif isinstance(event, TreeHeadSigned):
            self.state.check_head(event)
            self.heads, self.head = self.heads + 1, event
            told = opened(event.checkpoint, self.key)
            if (told.size, told.root) != (event.tree_size, event.root_hash):
                raise BadNote("it says another head than the event that holds it")

    def fault(self, detail: str) -> None:
        """Something outside of the log does not hold."""
        self.faults.append(Fault(-1, detail))

    def finish(self) -> None:
        """The log's end: all leaves stand under a signed head."""
        size = 0 if self.head is None else self.head.tree_size
        if not self.ended and self.state.tree.size > size:
            self.faults.append(Fault(-1, f"{self.state.tree.size - size} leaves at the end stand under no signed head"))

    def compare(self, checkpoint: str, whose: str) -> Head | None:
        """Compare with a checkpoint that somebody shows; it may be of an earlier or later time. Returns what it says."""
        try:
            told = opened(checkpoint, self.key)
        except (BadNote, Unsigned) as bad:
            self.faults.append(Fault(-1, f"{whose}: {bad}"))
            return None
        if told.size <= self.state.tree.size and self.state.tree.root(told.size) != told.root:
            self.faults.append(Fault(-1, f"{whose} is of another tree: its {told.size} leaves are not the log's"))
        return told


def replay(events: Iterable[tuple[int, Event]], key: NoteKey) -> Replay:
    """All of the log, read."""
    made = Replay(key)
    for offset, event in events:
        made.read(event, offset)
    made.finish()
    return made
