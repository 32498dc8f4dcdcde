"""Which schemas the records of a log have, from the five bytes before each value, without decoding it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.ports import LogReader
from schemas.log import TopicPartition
from schemas.wire import PREFIX_BYTES, NotFramed, schema_id


@dataclass(frozen=True, slots=True)
class Met:
    """The ids that occur in each topic below some positions."""

    ids: dict[str, tuple[int, ...]] = field(default_factory=dict)
    positions: dict[TopicPartition, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        positions = {str(source): position for source, position in sorted(self.positions.items())}
        return json.dumps({"ids": self.ids, "positions": positions})

    @classmethod
    def parse(cls, text: str | None) -> "Met":
        """The reverse of `text`; nothing was met where there is none."""
        if text is None:
            return cls()
        held = json.loads(text)
        positions = {TopicPartition.parse(source): int(position) for source, position in held["positions"].items()}
        return cls({topic: tuple(ids) for topic, ids in held["ids"].items()}, positions)


def met(log: LogReader, positions: Mapping[TopicPartition, int], known: Met) -> Met:
    """The ids below `positions`, of which those below the positions of `known` are known. What the log no longer holds is
    left out; a value that is not framed has none."""
    ids = {topic: set(found) for topic, found in known.ids.items()}
    for source, position in positions.items():
        low = log.bounds([source.topic])[source][0]
        found = ids.setdefault(source.topic, set())
        for batch in log.read(source, max(low, known.positions.get(source, 0)), position):
            for prefix in {value[:PREFIX_BYTES] for value in batch.values if value is not None}:
                try:
                    found.add(schema_id(prefix))
                except NotFramed:
                    continue
    reached = {source: max(position, known.positions.get(source, 0)) for source, position in positions.items()}
    return Met({topic: tuple(sorted(found)) for topic, found in sorted(ids.items())}, reached)
