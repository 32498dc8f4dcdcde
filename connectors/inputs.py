"""The port for reading many partitions from given offsets on, outside any group, and its version in memory."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from connectors.memory import MemoryLog
from connectors.ports import Away
from schemas.log import Batch, TopicPartition


class Inputs(Protocol):
    """For one thread. All calls may raise Away."""

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read these partitions from these offsets on, and no others."""

    def take(self, seconds: float) -> Sequence[Batch]:
        """What has come, as soon as there is anything; nothing after `seconds`. Of a partition the batches of successive
        calls follow each other without a break."""

    def behind(self, sources: Sequence[TopicPartition]) -> set[TopicPartition]:
        """Those of which the log holds more than was taken. The broker is asked."""

    def close(self) -> None: ...


class MemoryInputs:
    """`Inputs` on a MemoryLog. `most` records of a partition are taken at once."""

    def __init__(self, log: MemoryLog, most: int = 500) -> None:
        self._log, self._most = log, most
        self._positions: dict[TopicPartition, int] = {}

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(positions)

    def take(self, seconds: float) -> Sequence[Batch]:
        found = []
        for source, position in sorted(self._positions.items()):
            _, end = self._log.bounds([source.topic])[source]
            for batch in self._log.read(source, position, min(end, position + self._most)):
                found.append(batch)
                self._positions[source] = batch.following
        return found

    def behind(self, sources: Sequence[TopicPartition]) -> set[TopicPartition]:
        if self._log.away:
            raise Away("the in-memory log was told to be away")
        ends = self._log.bounds({source.topic for source in sources})
        return {source for source in sources if self._positions.get(source, 0) < ends[source][1]}

    def close(self) -> None:
        """Nothing is open."""
