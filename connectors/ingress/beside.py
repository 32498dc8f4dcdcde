"""Long conversions, in a thread beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
LONG = 8_192  # bytes of JSON; Avro is made of them by some 4 MB a second


class Beside:
    """Runs work on so many bytes: short work at once, long work in a thread of its own, so that other requests go on."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "conversion")

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """What `work` returns or raises."""
        if size <= LONG:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
