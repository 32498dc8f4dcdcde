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

    __slots__ = ("keys", "offsets", "read_from", "read_to", "since", "values")

    def __init__(self, since: float = 0.0, read_from: int | None = None) -> None:
        """`read_from`, `read_to`: see Batch."""
        self.since, self.read_from = since, read_from
        self.read_to: int | None = None
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
        """The records so far, of which there may be none if `read_from` and `read_to` are known."""
        offsets = offsets_of(self.offsets)
        if not self.offsets and self.read_from is not None:
            offsets = range(self.read_from, self.read_from)
        return Batch(source, offsets, self.keys, self.values, epoch, self.read_from, self.read_to)


class WentBack(Exception):
    """A record came that is no later than what was read already; the message says which."""


class Collection:
    """What was read of partitions, each from its start on without a break.

    That nothing is left out between two records is the client's word: it gives out records in the broker's order from
    where it was told to start, and passes over only what is no data record. What the offsets behind its last record hold,
    it does not say (see connectors.log_ends).
    """

    def __init__(self) -> None:
        self.pending: dict[TopicPartition, PendingBatch] = {}
        self._following: dict[TopicPartition, int] = {}
        self._ended: dict[TopicPartition, tuple[int, int]] = {}

    def begin(self, source: TopicPartition, start: int) -> None:
        """The partition is read from `start` on."""
        self.forget(source)
        self._following[source] = start

    def forget(self, source: TopicPartition) -> None:
        for table in (self.pending, self._following, self._ended):
            table.pop(source, None)

    def add(self, source: TopicPartition, messages: Sequence[Message], now: float) -> None:
        """Records of a partition that is read; those of another are forgotten. Raises WentBack."""
        following, first = self._following.get(source), messages[0].offset()
        if following is None:
            return
        if first < following:
            raise WentBack(f"{source}: offset {first} came after everything below {following} was read")
        pending = self._collecting(source, now)
        pending.extend(messages)
        pending.read_to = self._following[source] = pending.offsets[-1] + 1

    def end(self, source: TopicPartition, end: int, high: int, now: float) -> None:
        """There is no record from where reading came to a stop to `end`, where the high watermark is `high`."""
        following = self._following.get(source)
        if following is None or end < following:
            return
        self._ended[source] = end, high
        if end > following:
            self._collecting(source, now).read_to = self._following[source] = end

    def position(self, source: TopicPartition) -> int | None:
        """The offset that comes next, or None for a partition that is not read."""
        return self._following.get(source)

    def known_end(self, source: TopicPartition, high: int) -> int:
        """Up to where a partition whose high watermark is `high` can be read, as far as that is known: not beyond the end
        that was found (a transaction that is still open begins there), unless there was more since."""
        end, high_then = self._ended.get(source, (high, high))
        return end if high == high_then else high

    def _collecting(self, source: TopicPartition, now: float) -> PendingBatch:
        pending = self.pending.get(source)
        if pending is None:
            pending = self.pending[source] = PendingBatch(now, self._following[source])
        return pending


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
