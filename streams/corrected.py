"""What snapshots must know of corrections: which records mean something else since a snapshot was made."""

from collections.abc import Iterable
from typing import Protocol

from schemas.log import TopicPartition


class Corrections(Protocol):
    """The corrections that the log is read with. All calls may raise Away."""

    def end(self) -> int:
        """The offset behind the last correction."""

    def since(self, offset: int) -> Iterable[tuple[TopicPartition, int]]:
        """The positions that corrections at `offset` and later are about."""


class NoCorrections:
    """Of a log that is read as it is."""

    def end(self) -> int:
        return 0

    def since(self, offset: int) -> Iterable[tuple[TopicPartition, int]]:
        return ()
