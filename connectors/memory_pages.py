"""The in-memory version of PageReader: for tests, and for whoever wants to read pages without a broker."""

from collections.abc import Mapping, Sequence
from itertools import chain

from connectors.memory import MemoryLog
from connectors.pages import EARLIEST, LATEST, LogRecord, NotThere, OutOfRange, Page
from connectors.ports import Away
from schemas.log import TopicPartition

Headers = Sequence[tuple[str, bytes | None]]
NO_MARK: tuple[int | None, bool, Headers] = (None, False, ())


class MemoryPages:
    """A PageReader over a MemoryLog, which keeps neither timestamps nor headers: `mark` adds them."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self.away = ""
        self.reads = 0
        self._marks: dict[tuple[TopicPartition, int], tuple[int | None, bool, Headers]] = {}

    def mark(
        self, source: TopicPartition, offset: int, timestamp: int | None, appended: bool = False, headers: Headers = ()
    ) -> None:
        """What the record at `offset` has beside key and value."""
        self._marks[source, offset] = timestamp, appended, headers

    async def bounds(self, sources: Sequence[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        return {source: found for source in sources if (found := self._bounds(source)) is not None}

    async def find(self, source: TopicPartition, milliseconds: int) -> int:
        first, end = self._existing(source)
        later = (one.offset for one in self._records(source, first, end) if (one.timestamp or 0) >= milliseconds)
        return next(later, LATEST)

    async def page(self, source: TopicPartition, start: int, most_records: int, most_bytes: int) -> Page:
        self.reads += 1
        first, end = self._existing(source)
        start = {EARLIEST: first, LATEST: end}.get(start, start)
        if not first <= start <= end:
            raise OutOfRange(source, start, first, end)
        taken: list[LogRecord] = []
        size = 0
        for record in self._records(source, start, end):
            size += record.size
            if taken and size > most_bytes:
                return Page(start, taken, taken[-1].offset + 1, True, first, end)
            taken.append(record)
            if len(taken) == most_records:
                return Page(start, taken, record.offset + 1, True, first, end)
        return Page(start, taken, end, size > most_bytes, first, end)

    def _records(self, source: TopicPartition, start: int, end: int) -> list[LogRecord]:
        rows = (zip(one.offsets, one.keys, one.values, strict=True) for one in self._log.read(source, start, end))
        found = []
        for offset, key, value in chain.from_iterable(rows):
            timestamp, appended, headers = self._marks.get((source, offset), NO_MARK)
            found.append(LogRecord(offset, timestamp, appended, key, value, headers))
        return found

    def close(self) -> None:
        """There is nothing to give back."""

    def _bounds(self, source: TopicPartition) -> tuple[int, int] | None:
        if self.away:
            raise Away(self.away)
        try:
            return self._log.bounds([source.topic]).get(source)
        except Away:  # the log has no such topic (it waits for those), or was told to be away itself
            if self._log.away:
                raise
            return None

    def _existing(self, source: TopicPartition) -> tuple[int, int]:
        found = self._bounds(source)
        if found is None:
            raise NotThere(f"there is no {source}")
        return found
