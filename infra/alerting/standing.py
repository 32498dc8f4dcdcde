"""A fold of a topic that is kept: each question reads what has come since the one before, and no more."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

from connectors.ports import LogReader
from schemas.log import TopicPartition
from schemas.messages import Event, Messages

S = TypeVar("S")
NEAR = 200
"""Offsets that lie no further apart are read in one piece: a read costs some 20 ms, however short it is."""


class Placed(NamedTuple):
    """An event and where it is in the log."""

    source: TopicPartition
    offset: int
    event: Event

    @property
    def place(self) -> str:
        return f"{self.source.topic}/{self.source.partition}/{self.offset}"


class Standing(Generic[S]):
    """For several threads: one after the other."""

    def __init__(
        self, topic: str, open_reader: Callable[[], LogReader], codec: Messages, state: S, fold: Callable[[S, Placed], None]
    ) -> None:
        """`fold` takes an event into `state`, those of a partition in their order."""
        self._topic, self._open_reader, self._codec = topic, open_reader, codec
        self._state, self._fold = state, fold
        self._at: dict[TopicPartition, int] = {}
        self._reader: LogReader | None = None
        self._lock = threading.Lock()

    @contextmanager
    def now(self) -> Iterator[S]:
        """What the log says by now; not to be kept beyond the block.

        Raises:
            Away: broker or registry do not answer.
            Foreign: a record is no message of the topic's.
        """
        with self._reading() as reader:
            for source, (low, high) in sorted(reader.bounds([self._topic]).items()):
                self._go_on(reader, source, max(low, self._at.get(source, low)), high)
            yield self._state

    def _go_on(self, reader: LogReader, source: TopicPartition, at: int, end: int) -> None:
        for batch in reader.read(source, at, end):
            values = zip(batch.offsets, batch.values, strict=True)
            events = [
                Placed(source, offset, made)
                for offset, made in ((o, self._codec.decode(v)) for o, v in values)
                if isinstance(made, Event)
            ]
            for event in events:
                self._fold(self._state, event)
            self._at[source] = batch.following

    def at(self, source: TopicPartition, offsets: Sequence[int]) -> list[Placed]:
        """The events at some offsets of a partition, ascending. Raises as `now`."""
        wanted, found = set(offsets), list[Placed]()
        with self._reading() as reader:
            for piece in _pieces(offsets):
                for batch in reader.read(source, piece[0], piece[-1] + 1):
                    for offset, value in zip(batch.offsets, batch.values, strict=True):
                        if offset in wanted and isinstance(made := self._codec.decode(value), Event):
                            found.append(Placed(source, offset, made))
        return found

    @contextmanager
    def _reading(self) -> Iterator[LogReader]:
        """The reader; one that has failed is not asked again."""
        with self._lock:
            reader, self._reader = self._reader or self._open_reader(), None
            try:
                yield reader
            except BaseException:
                reader.close()
                raise
            self._reader = reader

    def close(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None


def _pieces(offsets: Sequence[int]) -> Iterator[list[int]]:
    piece: list[int] = []
    for offset in sorted(offsets):
        if piece and offset - piece[-1] > NEAR:
            yield piece
            piece = []
        piece.append(offset)
    if piece:
        yield piece
