"""Reading commands as a member of a decider's group.

As for a view, but that the group's committed offset is the truth: it was committed in the transaction that wrote what was
decided. And a command is handed on at once, because somebody waits for its answer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.group_options import GroupOptions
from connectors.group_positions import StartOf
from connectors.kafka_group import GroupReader
from connectors.kafka_log import AWAY, answer
from connectors.ports import Away
from connectors.transactions import Disowned
from schemas.log import Batch, TopicPartition

IDLE_SECONDS = 0.1  # the longest time without a look at what others ask of the reader's thread
ANSWER_SECONDS = 10.0


class CommandReader(GroupReader):
    """`options.seconds` should be 0: a batch does not wait for more."""

    def __init__(
        self,
        options: GroupOptions,
        start_of: StartOf,
        deliver: Callable[[Batch], None],
        on_lost: Callable[[TopicPartition, Exception], None],
    ) -> None:
        super().__init__(options, start_of, deliver, on_lost)
        self._member: Any = None
        self._members: dict[int, Any] = {}

    def member(self, epoch: int) -> Any:
        """The membership under which batches of an epoch were read, for the transaction that passes them. Not the present
        one: of that the broker would take offsets of partitions that have gone to another member.

        Raises:
            Disowned: nothing of that epoch is assigned any more.
        """
        found = self._members.get(epoch)
        if found is None:
            raise Disowned(f"{self._options.group}: the assignment {epoch} is over")
        return found

    def epoch(self, source: TopicPartition) -> int | None:
        """The assignment under which a partition is read; None while it is not."""
        return self._epochs.get(source)

    def membership(self, sources: Iterable[TopicPartition]) -> Any:
        """The membership under which some partitions are read now, for a transaction that takes nothing of theirs.

        Raises:
            Disowned: one of them is not read.
        """
        epochs = [self._epochs.get(source) for source in sources]
        read = [epoch for epoch in epochs if epoch is not None]
        if not read or len(read) < len(epochs):
            raise Disowned(f"{self._options.group}: not all of its partitions are read any more")
        return self.member(min(read))

    def committed(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """The group's offsets, None where there is none. Called by `start_of` in the reader's thread.

        Raises:
            Away: the broker does not answer, or a transaction that moves one of them is still open.
        """
        asked = [KafkaPartition(*source) for source in sources]
        found = {}
        for partition in answer(lambda: self._consumer.committed(asked, ANSWER_SECONDS)):
            error = partition.error
            if error is not None:
                if error.code() in AWAY or error.retriable() or error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
                    raise Away(f"offset of {partition.topic}/{partition.partition}: {error.str()}")
                raise KafkaException(error)
            offset = partition.offset
            found[TopicPartition(partition.topic, partition.partition)] = offset if offset >= 0 else None
        return found

    def _consumed(self) -> list[Message]:
        """What is there, as soon as there is anything."""
        first = self._consumer.poll(IDLE_SECONDS)
        return [] if first is None else [first, *self._consumer.consume(self._options.records, 0)]

    def _on_assign(self, consumer: Consumer, partitions: Sequence[KafkaPartition]) -> None:
        self._member = consumer.consumer_group_metadata()
        super()._on_assign(consumer, partitions)

    def _begin(self, sources: Iterable[TopicPartition], starts: Mapping[TopicPartition, int]) -> None:
        super()._begin(sources, starts)
        current = set(self._epochs.values())
        self._members = {epoch: member for epoch, member in self._members.items() if epoch in current}
        self._members[self._epoch] = self._member
