"""The port through which deciders write: records and consumed offsets in one step, or nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from schemas.log import TopicPartition


class Outgoing(NamedTuple):
    """A record to be written. `partition` None: its key decides, as Java's client would (murmur2)."""

    topic: str
    partition: int | None
    key: bytes
    value: bytes


class Disowned(Exception):
    """The transaction was refused because somebody else owns the partitions by now, or its outcome can't be learnt. What the
    log says is right: positions and states must be read anew."""


class Transactions(Protocol):
    """A writer under a name; at any time one process has the name."""

    def open(self) -> None:
        """Make ready to write. What a predecessor of the same name left open is ended; nobody waits for it any longer.

        Raises:
            Away: try again.
        """

    def write(self, records: Sequence[Outgoing], consumed: Mapping[TopicPartition, int], member: Any) -> list[int]:
        """Write all records and, for the group of the commands' readers, the offset behind the last command of each
        partition, in one transaction; returns the records' offsets. Readers of committed records see all of it or nothing.

        `member` is what the reader of the commands was told of its membership when the partitions were assigned to it: the
        broker refuses the transaction if the group has gone on to another generation since.

        Raises:
            Away: nothing was written; the same call again is right.
            Disowned: see there.
            Anything else: nothing was written, and the same call again would fail as well (a record that is too large).
        """

    def close(self) -> None:
        """Give up what is open."""
