"""Batches that are being collected from a consumer's messages.

Per message this costs a sixth of a microsecond: methods are mapped in C, and messages come in runs of one partition.
"""

from collections.abc import Iterator, Mapping, Sequence

from confluent_kafka import Message

from connectors.group_options import GroupOptions
from schemas.log import Batch, TopicPartition, offsets_of

STARVED = 20  # times `options.seconds`: while there is more to read, a small batch waits for no longer


class PendingBatch:
    """Records of one partition since the moment `since`. Keeps what a batch has of a message and not the message, whose
    object is as large as a small record."""

    __slots__ = ("keys", "offsets", "since", "values")

    def __init__(self, since: float = 0.0) -> None:
        self.since = since
        self.offsets: list[int] = []
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []

    def __len__(self) -> int:
        return len(self.offsets)

    def extend(self, messages: Sequence[Message]) -> None:
        """Data messages of the partition, no errors among them."""
        self.offsets.extend(map(Message.offset, messages))
        self.keys.extend(map(Message.key, messages))
        self.values.extend(map(Message.value, messages))

    def batch(self, source: TopicPartition, epoch: int = 0) -> Batch:
        return Batch(source, offsets_of(self.offsets), self.keys, self.values, epoch)


def batch_of(source: TopicPartition, messages: Sequence[Message]) -> Batch:
    """A batch of data messages (no errors among them) of one partition."""
    pending = PendingBatch()
    pending.extend(messages)
    return pending.batch(source)


def runs(messages: Sequence[Message]) -> Iterator[tuple[TopicPartition, Sequence[Message]]]:
    """Data messages as runs of neighbours of one partition."""
    partitions, topics = list(map(Message.partition, messages)), list(map(Message.topic, messages))
    start, last = 0, len(messages)
    while start < last:
        topic, partition, end = topics[start], partitions[start], start + 1
        while end < last and partitions[end] == partition and topics[end] == topic:
            end += 1
        yield TopicPartition(topic, partition), messages[start:end]
        start = end


def next_due(
    pending: Mapping[TopicPartition, PendingBatch], options: GroupOptions, caught_up: bool, now: float
) -> TopicPartition | None:
    """The partition whose batch is to be handed on now, if any.

    With nothing more to read that is one that is old. While there is more, batches are let grow, as a large one costs
    less a record: then it is a full one, or the largest when all together are twice that, or one that waited very long.
    """
    if not pending:
        return None
    oldest = min(pending, key=lambda source: pending[source].since)
    largest = max(pending, key=lambda source: len(pending[source]))
    if now - pending[oldest].since >= options.seconds * (1 if caught_up else STARVED):
        return oldest
    enough = len(pending[largest]) >= options.records or sum(map(len, pending.values())) >= 2 * options.records
    return largest if enough else None
