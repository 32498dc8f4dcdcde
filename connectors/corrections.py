"""Corrections as they lie in their topic, and a log in which they are applied (port LogReader)."""

from collections.abc import Iterable, Iterator

from connectors.ports import LogReader
from schemas.correction_messages import Correction
from schemas.corrections import CORRECTIONS_TOPIC, Corrections, Entry
from schemas.log import Batch, TopicPartition
from schemas.messages import Foreign, Messages

SOURCE = TopicPartition(CORRECTIONS_TOPIC, 0)


class BrokenCorrections(ValueError):
    """The corrections' topic holds what is no correction, or has lost some; the message names the place."""


def end_of_corrections(log: LogReader) -> int:
    """The offset that the next correction will get.

    Raises:
        Away: the broker does not answer, or has no such topic.
    """
    return log.bounds([CORRECTIONS_TOPIC])[SOURCE][1]


def entries(log: LogReader, codec: Messages, until: int) -> Iterator[Entry]:
    """All corrections before the offset `until`, in their order.

    Raises:
        Away: the broker or the registry does not answer.
        BrokenCorrections: a record is no correction, or the topic does not begin at 0 or ends before `until`.
    """
    if until <= 0:
        return
    low, end = log.bounds([CORRECTIONS_TOPIC])[SOURCE]
    if low > 0 or end < until:
        raise BrokenCorrections(f"{SOURCE} holds the offsets from {low} to {end}; corrections up to {until} are needed")
    for batch in log.read(SOURCE, 0, until):
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            try:
                message = codec.decode(value)
            except Foreign as error:
                raise BrokenCorrections(f"{SOURCE}:{offset} is no correction: {error}") from None
            if not isinstance(message, Correction):
                raise BrokenCorrections(f"{SOURCE}:{offset} is no correction: {type(message).__name__}")
            yield Entry(offset, message)


class CorrectedLog:
    """A log whose records count as the corrections say. What it closes is the log underneath."""

    def __init__(self, log: LogReader, corrections: Corrections) -> None:
        self._log, self.corrections = log, corrections

    def bounds(self, topics: Iterable[str]) -> dict[TopicPartition, tuple[int, int]]:
        return self._log.bounds(topics)

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        """As the port says, and:

        Raises:
            MisplacedCorrection: a correction is of another record than the one that lies there.
        """
        for batch in self._log.read(source, start, stop):
            yield self.corrections.apply(batch)

    def close(self) -> None:
        self._log.close()
