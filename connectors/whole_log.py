"""The port for reading records with all that the log keeps of them, and its version in memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from confluent_kafka import Message

from connectors.memory import MemoryLog
from connectors.ports import LogReader
from schemas.archive.records import Headers, Records
from schemas.log import TopicPartition, offsets_of


class WholeLog(LogReader, Protocol):
    """A LogReader that gives headers and timestamps too."""

    def records(self, source: TopicPartition, start: int, stop: int) -> Iterator[Records]:
        """As LogReader.read, from `start` to `stop` or the log's end without a break."""

    def offset_at(self, source: TopicPartition, milliseconds: int) -> int:
        """An offset below which every record's timestamp is earlier."""


def records_of(source: TopicPartition, messages: Sequence[Message], read_from: int, read_to: int) -> Records:
    """Data messages (no errors among them) of one partition, all that there are in [read_from, read_to)."""
    return Records(
        source,
        offsets_of([message.offset() for message in messages]) if messages else range(read_from, read_from),
        [message.timestamp()[1] for message in messages],
        [message.key() for message in messages],
        [tuple(message.headers() or ()) for message in messages],
        [message.value() for message in messages],
        read_from,
        read_to,
    )


class MemoryWholeLog(MemoryLog):
    """A WholeLog over records in memory. `timestamps` and `headers` say what those of a record are; else 0 and none."""

    def __init__(self, partitions: Mapping[str, int], batch_records: int = 500) -> None:
        super().__init__(partitions, batch_records)
        self.timestamps: dict[tuple[TopicPartition, int], int] = {}
        self.headers: dict[tuple[TopicPartition, int], Headers] = {}

    def records(self, source: TopicPartition, start: int, stop: int) -> Iterator[Records]:
        for batch in self.read(source, start, stop):
            yield Records(
                source,
                batch.offsets,
                [self.timestamps.get((source, offset), 0) for offset in batch.offsets],
                batch.keys,
                [self.headers.get((source, offset), ()) for offset in batch.offsets],
                batch.values,
                batch.begins,
                batch.following,
            )

    def offset_at(self, source: TopicPartition, milliseconds: int) -> int:
        low, end = self.bounds([source.topic])[source]
        for records in self.records(source, low, end):
            for offset, timestamp in zip(records.offsets, records.timestamps, strict=True):
                if timestamp >= milliseconds:
                    return offset
        return end
