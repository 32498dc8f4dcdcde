"""Transactions on a log in memory, and the group whose offsets they move: for tests, and deciders without a broker."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from connectors.memory import MemoryLog
from connectors.ports import Away
from connectors.transactions import Disowned, Outgoing
from schemas.log import TopicPartition
from schemas.partitioner import partition_of


@dataclass
class MemoryGroup:
    """The group of the commands' readers: its generation, and the offset behind what was consumed of each partition."""

    generation: int = 1
    offsets: dict[TopicPartition, int] = field(default_factory=dict)

    def join(self) -> int:
        """A member comes or goes: everybody is of the next generation, or fenced."""
        self.generation += 1
        return self.generation

    def committed(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        return {source: self.offsets.get(source) for source in sources}


class MemoryTransactions:
    """`Transactions` on a MemoryLog; `member` is the generation that the member is of.

    Attributes:
        away: every call raises Away.
        lose_answers: what is written is committed, and the answer lost.
    """

    def __init__(self, log: MemoryLog, group: MemoryGroup, lock: AbstractContextManager[object] | None = None) -> None:
        """`lock`: held while a transaction is written, for those who write to the same log."""
        self.away = self.lose_answers = False
        self._log, self._group, self._lock = log, group, lock or threading.Lock()

    def open(self) -> None:
        """Nothing is left open by anybody."""

    def write(self, records: Sequence[Outgoing], consumed: Mapping[TopicPartition, int], member: int) -> list[int]:
        if self.away:
            raise Away("the transactions in memory were told to be away")
        with self._lock:
            places = [self._place(record) for record in records]
            if member != self._group.generation:
                for place in places:
                    self._log.skip(place, 1)
                self._end(places)
                raise Disowned(f"generation {member} is not {self._group.generation}")
            offsets = [self._log.append(place, r.key, r.value) for place, r in zip(places, records, strict=True)]
            self._end(places)
            self._group.offsets.update(consumed)
        if self.lose_answers:
            raise Disowned("the answer was lost, as told")
        return offsets

    def _place(self, record: Outgoing) -> TopicPartition:
        if record.partition is not None:
            return TopicPartition(record.topic, record.partition)
        return TopicPartition(record.topic, partition_of(record.key, len(self._log.bounds([record.topic]))))

    def _end(self, places: Iterable[TopicPartition]) -> None:
        """A transaction leaves a control record in every partition that it wrote to."""
        for place in set(places):
            self._log.skip(place, 1)

    def close(self) -> None:
        """Nothing is open."""
