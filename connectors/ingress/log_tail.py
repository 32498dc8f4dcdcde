"""Waiting for records: one question to the broker for all who wait, as often as is worth it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from connectors.pages import PageReader
from connectors.ports import Away, Busy
from schemas.log import TopicPartition

MOST_WAITING = 500
INTERVAL = 0.1  # seconds between two questions

Waiter = asyncio.Future[bool]


class Tail:
    """Tells when a partition's end has moved on. Nobody waits on while `stopping` is true."""

    def __init__(self, pages: PageReader, stopping: Callable[[], bool]) -> None:
        self._pages, self._stopping = pages, stopping
        self._waiting: dict[TopicPartition, dict[Waiter, int]] = defaultdict(dict)
        self._count = 0
        self._watching: asyncio.Task[None] | None = None

    async def beyond(self, source: TopicPartition, end: int, seconds: float) -> bool:
        """Wait until the log ends beyond `end`; False if it does not within so many seconds, or the process ends.

        Raises:
            Away: the broker does not answer. Busy: too many wait.
        """
        if self._count >= MOST_WAITING:
            raise Busy(f"{MOST_WAITING} requests wait for records")
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiting[source][waiter] = end
        self._count += 1
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            return await asyncio.wait_for(waiter, seconds)
        except TimeoutError:
            return False
        finally:
            self._count -= 1
            self._waiting[source].pop(waiter, None)
            if not self._waiting[source]:
                del self._waiting[source]

    async def _watch(self) -> None:
        while self._waiting:
            await asyncio.sleep(INTERVAL)
            if self._stopping():
                self._end()
                continue
            try:
                found = await self._pages.bounds(list(self._waiting))
            except Away as away:
                self._fail(away)
                continue
            for source, waiters in self._waiting.items():
                _, now = found.get(source, (0, -1))  # one that is gone: who asks for its records is told
                for waiter, end in waiters.items():
                    if now != end and not waiter.done():
                        waiter.set_result(True)

    def _end(self) -> None:
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(False)

    def _fail(self, away: Away) -> None:
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(type(away)(str(away)))
