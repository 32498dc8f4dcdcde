"""A store whose calls fail as a network lets them fail: before the work was done, or after."""

import random
from typing import Any

from connectors.memory import MemoryKeyedStore, MemoryRowStore
from connectors.ports import Away


class _Flaky:
    """Mixin: a write fails with probability `rate`; half of the failures come after the write took effect."""

    def __init__(self, *arguments: Any, source: random.Random, rate: float) -> None:
        super().__init__(*arguments)
        self._source, self._rate = source, rate

    def _maybe(self, write: Any) -> None:
        if self._source.random() >= self._rate:
            write()
        elif self._source.random() < 0.5:
            raise Away("before the write")
        else:
            write()
            raise Away("after the write")


class FlakyKeyedStore(_Flaky, MemoryKeyedStore):
    def commit(self, *arguments: Any) -> None:
        self._maybe(lambda: MemoryKeyedStore.commit(self, *arguments))


class FlakyRowStore(_Flaky, MemoryRowStore):
    def append(self, *arguments: Any) -> None:
        self._maybe(lambda: MemoryRowStore.append(self, *arguments))
