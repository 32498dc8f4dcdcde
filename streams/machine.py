"""What decides: one machine per partition of a command topic, driven by a runner that makes its decisions durable.

A machine's state is the fold of the events that were committed. `work` decides on top of it without changing it for good;
then either `keep` is called, when the records are committed, or `drop`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.messages import Command, Event, Message


class Keyed(NamedTuple):
    """A command with its record's key."""

    key: str
    command: Command


class Addressed(NamedTuple):
    """A record to be written: an event, or a command to another (or the same) decider that follows from one."""

    topic: str
    key: str
    message: Message


class Machine(Protocol):
    """For one thread at a time. Pure but for what it was made with (an authority that signs)."""

    revision: int
    """Snapshots of another revision are not restored: a change of what the fold yields must raise it."""

    def work(self, commands: Sequence[Keyed]) -> list[Addressed]:
        """Decide; what is to be written for it, in order, in one transaction.

        Raises:
            Away: something that is needed does not answer; the same call again is right, after `drop`.
        """

    def keep(self, offsets: Sequence[int]) -> None:
        """The records of the last `work` are committed; their offsets, in the same order."""

    def drop(self) -> None:
        """The records of the last `work` are not in the log."""

    def fold(self, key: str, event: Event, offset: int) -> None:
        """An event of this partition of the event topic, as read from the log, in order; not one that `keep` saw."""

    def snapshot(self) -> bytes:
        """The state, to start from later."""

    def restore(self, data: bytes) -> None:
        """Take the state of a snapshot of the same revision."""
