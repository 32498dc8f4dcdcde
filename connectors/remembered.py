"""What was found last, within bounds."""

from collections import OrderedDict
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """At most `count` values and `cost` in all; those that were not asked for the longest go first."""

    def __init__(self, count: int, cost: int) -> None:
        self._count, self._most = count, cost
        self._found: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self.cost = 0

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: Key) -> Value | None:
        known = self._found.get(key)
        if known is None:
            return None
        self._found.move_to_end(key)
        return known[0]

    def add(self, key: Key, value: Value, cost: int) -> None:
        """Remember a value; one that alone costs more than is allowed is not kept."""
        self._forget(key)
        if cost > self._most:
            return
        self._found[key] = (value, cost)
        self.cost += cost
        while len(self._found) > self._count or self.cost > self._most:
            self._forget(next(iter(self._found)))

    def _forget(self, key: Key) -> None:
        known = self._found.pop(key, None)
        if known is not None:
            self.cost -= known[1]
