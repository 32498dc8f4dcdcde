"""Port: records of topics as they come, outside any group (connectors.kafka_tail, connectors.memory_tail)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from schemas.log import TopicPartition


class Tailed(NamedTuple):
    """A record that has come."""

    source: TopicPartition
    offset: int
    value: bytes | None


Take = Callable[[Sequence[Tailed]], None]
"""Is given records in the order of their partitions, from a thread of the tail's. May raise Away: it is given the same again
a little later."""


class EventTail(Protocol):
    """Follows all partitions of some topics from their ends on, as a reader of committed records.

    From the moment at which `away` is empty for the first time nothing is left out, also not what is written while the
    broker can't be reached: it is given later.
    """

    @property
    def away(self) -> str:
        """Why nothing comes for now; empty while it is followed."""

    def start(self, topics: Sequence[str], take: Take) -> None:
        """Begin to follow. Returns at once."""

    def close(self) -> None:
        """Nothing is given any more when this has returned."""
