"""Offsets at which the partitions of a topic ended not long ago: what is written from now on lies beyond them."""

import asyncio
import time
from dataclasses import dataclass

from connectors.cluster import Cluster
from connectors.ports import Away

FRESH_SECONDS = 10.0  # the older they are, the more there is to read for who looks for a record
AT_ONCE = 20  # questions to the cluster


@dataclass(slots=True)
class _Known:
    ends: list[int]
    asked: float


class KnownEnds:
    """Asks the cluster for the ends of a topic, once for all who want to know within FRESH_SECONDS. A log only grows, so
    that an end stays good as a bound; a topic that is deleted and made anew within that time is the exception."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[list[int]]] = {}

    async def of(self, topic: str, partitions: int) -> list[int]:
        """For each partition an offset at or before its end.

        Raises:
            Away: the cluster does not answer, or there is no such topic any more.
        """
        known = self._known.get(topic)
        if known and len(known.ends) == partitions and time.monotonic() - known.asked < FRESH_SECONDS:
            return known.ends
        task = self._asking.get(topic)
        if task is None:
            task = self._asking[topic] = asyncio.create_task(self._ask(topic, partitions))
            task.add_done_callback(lambda _: self._asking.pop(topic, None))
        return await asyncio.shield(task)

    async def _ask(self, topic: str, partitions: int) -> list[int]:
        asked, ends = time.monotonic(), []
        for first in range(0, partitions, AT_ONCE):
            some = range(first, min(first + AT_ONCE, partitions))
            for bounds in await asyncio.gather(*(self._cluster.offsets(topic, number) for number in some)):
                if bounds is None:
                    raise Away(f"the cluster has no topic {topic} any more, or fewer partitions")
                ends.append(bounds[1])
        self._known[topic] = _Known(ends, asked)
        return ends
