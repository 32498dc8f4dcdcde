"""A batch that is being collected from a consumer's messages."""

from confluent_kafka import Message

from schemas.log import Batch, TopicPartition, offsets_of


class PendingBatch:
    """Records of one partition since the moment `since`. Keeps what a batch has of a message and not the message, whose
    object is as large as a small record."""

    __slots__ = ("keys", "offsets", "since", "values")

    def __init__(self, since: float) -> None:
        self.since = since
        self.offsets: list[int] = []
        self.keys: list[bytes | None] = []
        self.values: list[bytes | None] = []

    def __len__(self) -> int:
        return len(self.offsets)

    def add(self, message: Message) -> None:
        """A data message, not an error."""
        self.offsets.append(message.offset())
        self.keys.append(message.key())
        self.values.append(message.value())

    def batch(self, source: TopicPartition, epoch: int) -> Batch:
        return Batch(source, offsets_of(self.offsets), self.keys, self.values, epoch)
