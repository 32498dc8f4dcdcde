"""What is due when: a heap that hands out its items one by one as their time comes."""

import asyncio
import heapq
import itertools
import time
from typing import Generic, TypeVar

T = TypeVar("T")


class Schedule(Generic[T]):
    """Times are those of `time.monotonic`. Items due at the same time come in the order in which they were added."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, due: float, item: T) -> None:
        heapq.heappush(self._heap, (due, next(self._numbers), item))
        self._changed.set()

    def clear(self) -> list[tuple[float, T]]:
        """Take out all items, each with the time it is due, in order."""
        taken = [(due, item) for due, _, item in sorted(self._heap)]
        self._heap.clear()
        return taken

    def close(self) -> None:
        """No item comes any more: `next` returns None from now on."""
        self._closed = True
        self._changed.set()

    async def next(self) -> T | None:
        """The first item, as soon as it is due; None after `close`. Any number of tasks may wait."""
        while not self._closed:
            wait = self._heap[0][0] - time.monotonic() if self._heap else None
            if wait is not None and wait <= 0:
                return heapq.heappop(self._heap)[2]
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass  # the first item is due, if no other task was faster
        return None
