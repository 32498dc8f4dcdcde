"""How a record's place in the log is written and read: TOPIC:PARTITION:OFFSET."""

import re
from typing import NamedTuple

from schemas.log import TopicPartition


class Place(NamedTuple):
    """Where a record lies."""

    source: TopicPartition
    offset: int

    def __str__(self) -> str:
        return f"{self.source.topic}:{self.source.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The reverse of `str`.

        Raises:
            ValueError: `text` is not TOPIC:PARTITION:OFFSET.
        """
        found = re.fullmatch(r"([A-Za-z0-9._-]+):([0-9]{1,9}):([0-9]{1,18})", text)
        if found is None:
            raise ValueError(f"not a place in the log (TOPIC:PARTITION:OFFSET): {text!r}")
        return cls(TopicPartition(found[1], int(found[2])), int(found[3]))
