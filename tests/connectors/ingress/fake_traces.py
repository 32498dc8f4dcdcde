"""The marks on records of a log in memory."""

from collections.abc import Iterator, Mapping, Sequence

from connectors.memory import MemoryLog
from connectors.ports import Away
from connectors.traces import MARK, Trace
from schemas.log import TopicPartition


class FakeTraces:
    """Port Tracer. `away` refuses every question; `read` counts the records that were read."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._marks: dict[tuple[TopicPartition, int], tuple[int, bytes | None]] = {}
        self.away = ""
        self.read = 0
        self.forgotten: set[str] = set()

    def note(self, source: TopicPartition, offset: int, timestamp: int, headers: Sequence[tuple[str, bytes]]) -> None:
        self._marks[source, offset] = timestamp, dict(headers).get(MARK)

    def bounds(self, topic: str) -> dict[TopicPartition, tuple[int, int]] | None:
        if self.away:
            raise Away(self.away)
        return None if topic in self.forgotten else self._log.bounds([topic])

    def traces(self, source: TopicPartition, start: int, stop: int) -> Iterator[list[Trace]]:
        for batch in self._log.read(source, start, stop):
            self.read += len(batch)
            yield [Trace(offset, *self._marks.get((source, offset), (None, None))) for offset in batch.offsets]

    def close(self) -> None:
        """Nothing is open."""


class TracedLog(MemoryLog):
    """A log that outlives the ingress, with its marks."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        super().__init__(partitions)
        self.traces = FakeTraces(self)
