"""Where a member of a consumer group begins to read: at the positions that a store holds, which may be away."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from connectors.ports import Away
from schemas.log import TopicPartition

log = logging.getLogger(__name__)

StartOf = Callable[[Iterable[TopicPartition]], dict[TopicPartition, int]]

PATIENCE_SECONDS = 240.0  # well below the time after which the group gives a silent member up


def stored_positions(
    start_of: StartOf, sources: Sequence[TopicPartition], group: str, stop: threading.Event, heard: Callable[[], None]
) -> dict[TopicPartition, int]:
    """What `start_of` says. While the store is away there is nothing to read for, so this waits for it, calling `heard`
    again and again; then it leaves the partitions to others.

    Raises:
        Away: the store was away for too long, or it is time to stop.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return start_of(sources)
        except Away as away:
            heard()
            if stop.is_set() or time.monotonic() > deadline:
                raise
            log.warning("positions of %s: %s", group, away)
            stop.wait(0.5)
