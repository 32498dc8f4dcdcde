"""The logs that the tests of the port EventTail write to, in memory and on a broker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from connectors.event_tail import EventTail, Tailed
from schemas.log import TopicPartition


@dataclass
class Followed:
    """A topic of two partitions and what can be done to it. `write` adds a record; `lose` makes the broker unreachable and
    `find` brings it back."""

    topic: str
    make: Callable[[], EventTail]
    write: Callable[[TopicPartition, bytes], None]
    lose: Callable[[], None]
    find: Callable[[], None]
    aborts: Callable[[TopicPartition, bytes], None] | None = None


@dataclass
class Seen:
    """What a tail has given."""

    records: list[Tailed] = field(default_factory=list)

    def take(self, records: Sequence[Tailed]) -> None:
        self.records.extend(records)

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.records]
