"""The newest of something, as many as are remembered."""

from typing import Generic, TypeVar

V = TypeVar("V")


class Newest(Generic[V]):
    """Keys with values, the oldest first."""

    def __init__(self, most: int, values: dict[str, V] | None = None) -> None:
        self._most, self.values = most, dict(values or {})

    def get(self, key: str) -> V | None:
        return self.values.get(key)

    def put(self, key: str, value: V) -> None:
        self.values.pop(key, None)
        self.values[key] = value
        while len(self.values) > self._most:
            del self.values[next(iter(self.values))]
