"""Time in an engine: its own clock, and its timers. Pure.

Two times run beside each other. Event time is the device's, for one device at a time. The clock is the engine's, and is
recorded in every cut; timers fire by it and by nothing else, so that a later reader of the cuts sees them fire where they
did.
"""

import heapq
from collections.abc import Iterator
from typing import Literal

import msgspec

Kind = Literal["hold", "keep", "silence", "idle", "bucket", "term"]


class Timer(msgspec.Struct, frozen=True, order=True, array_like=True):
    """Due at `due` of the clock (microseconds). The fields are its order, so timers of one time fire in one order."""

    due: int
    kind: Kind
    rule_id: str
    key: str


class Timers:
    """Timers in the order in which they fire. One that is not wanted any more stays: whoever it fires for finds that out."""

    def __init__(self, timers: list[Timer] | None = None) -> None:
        self._heap = sorted(set(timers or ()))
        self._known = set(self._heap)

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, timer: Timer) -> None:
        if timer not in self._known:
            self._known.add(timer)
            heapq.heappush(self._heap, timer)

    def next(self) -> int | None:
        """When the next one is due."""
        return self._heap[0].due if self._heap else None

    def take(self, clock: int) -> Iterator[Timer]:
        """Those that are due by now, one by one; also those that are put meanwhile."""
        while self._heap and self._heap[0].due <= clock:
            timer = heapq.heappop(self._heap)
            self._known.discard(timer)
            yield timer

    def kept(self) -> list[Timer]:
        """For a snapshot."""
        return sorted(self._heap)


def tick(now: int, before: int, caught_up: bool, newest: int | None) -> int:
    """The clock of the next cut (all in microseconds).

    While an engine is behind its inputs its clock must not run ahead of them, or every device would look silent: it then
    shows the time of the newest record (`newest`, its received_at) that was taken, or stands still.
    """
    if caught_up:
        return max(before, now)
    return before if newest is None else max(before, min(now, newest))
