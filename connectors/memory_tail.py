"""The in-memory version of the port EventTail: follows a MemoryLog."""

import threading
from collections.abc import Sequence

from connectors.event_tail import Tailed, Take
from connectors.memory import MemoryLog
from connectors.ports import Away
from schemas.log import TopicPartition

LOOK_SECONDS = 0.001


class MemoryTail:
    """An EventTail of a MemoryLog; away while the log is told to be."""

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._positions: dict[TopicPartition, int] | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.away = "the log was not read yet"

    def start(self, topics: Sequence[str], take: Take) -> None:
        self._thread = threading.Thread(target=self._follow, args=(tuple(topics), take), name="event-tail", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _follow(self, topics: Sequence[str], take: Take) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            try:
                bounds = self._log.bounds(topics)
                if self._positions is None:
                    self._positions = {source: end for source, (_, end) in bounds.items()}
                self.away = ""
                for source, (_, end) in bounds.items():
                    self._give(source, end, take, self._positions)
            except Away as away:
                self.away = str(away)

    def _give(self, source: TopicPartition, end: int, take: Take, positions: dict[TopicPartition, int]) -> None:
        for batch in self._log.read(source, positions.get(source, 0), end):
            take([Tailed(source, offset, value) for offset, value in zip(batch.offsets, batch.values, strict=True)])
            positions[source] = batch.last + 1
        positions[source] = end
