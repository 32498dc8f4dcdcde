"""A decider made of a definition of aggregates."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from connectors.ports import Away, LogReader
from schemas.log import TopicPartition
from schemas.messages import Event, Messages
from streams.aggregates import REMEMBERED, Aggregates, Definition
from streams.decider import Decider

WAIT_SECONDS = 2.0
PAUSE_SECONDS = 0.002


def aggregate_decider(
    definition: Definition[Any], reader: LogReader, events: Messages, remembered: int = REMEMBERED
) -> Decider:
    """`reader` reads committed records, and is used by nobody else: it is asked where a decision is made. `events` is the
    codec of the definition's event topic."""

    def make(partition: int) -> Aggregates[Any]:
        source = TopicPartition(definition.events_topic, partition)
        return Aggregates(definition, partial(recall, reader, events, source), remembered)

    return Decider(definition.name, definition.commands_topic, definition.events_topic, make)


def recall(reader: LogReader, codec: Messages, source: TopicPartition, first: int, last: int) -> Sequence[Event]:
    """The events of a partition with first <= offset <= last. Those of the transaction before can be read a moment after its
    commit: the broker tells each partition of it by itself.

    Raises:
        Away: the broker does not answer, or a transaction is still open.
        ValueError: the log no longer reaches back to them.
    """
    until = time.monotonic() + WAIT_SECONDS
    while reader.bounds([source.topic])[source][1] <= last:
        if time.monotonic() > until:
            raise Away(f"{source}: what was written at offset {last} can't be read yet")
        time.sleep(PAUSE_SECONDS)
    values = [value for batch in reader.read(source, first, last + 1) for value in batch.values]
    return [message for message in map(codec.decode, values) if isinstance(message, Event)]
