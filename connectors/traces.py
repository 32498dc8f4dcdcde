"""Port: the marks that requests leave on the records they write (connectors.kafka_traces)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.log import TopicPartition

MARK = "fleetlog-request"
"""The header of a record that says which request wrote it: ID/INDEX."""


class Trace(NamedTuple):
    """A record in the log. `timestamp` in milliseconds since 1970, None if it has none; `mark` None if it has none."""

    offset: int
    timestamp: int | None
    mark: bytes | None


class Tracer(Protocol):
    """Reads marks by position. Every call may raise Away."""

    def bounds(self, topic: str) -> Mapping[TopicPartition, tuple[int, int]] | None:
        """For each partition the first offset kept and the end, records of open transactions included; None: there is no
        such topic."""

    def traces(self, source: TopicPartition, start: int, stop: int) -> Iterator[Sequence[Trace]]:
        """Those of the records with start <= offset < stop, in order."""

    def close(self) -> None: ...
