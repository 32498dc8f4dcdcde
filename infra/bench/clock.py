"""A clock that watches rows arrive somewhere and says how fast they came."""

import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType

PAUSE = 0.1  # seconds between two looks
SHARE = 0.8  # of the rows: the rest may wait for a timer


class RowClock:
    """Looks from the moment it is entered, so that no first row is missed, in a thread of its own.

    Args:
        count: asks how many rows there are.
        rows: how many there will be in the end.
        limit: seconds after which waiting is given up.
    """

    def __init__(self, count: Callable[[], int], rows: int, limit: float) -> None:
        self._count, self._rows, self._limit = count, rows, limit
        self._seen: list[tuple[float, int]] = []
        self._stop = Event()
        self._thread = Thread(target=self._look, name="row-clock", daemon=True)

    def __enter__(self) -> "RowClock":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def rate(self) -> float:
        """Rows/s between the first rows and most of them. Waits until all are there.

        Raises:
            RuntimeError: they are not in time, they are too many, or most came at once.
        """
        self._thread.join(self._limit)
        last = self._seen[-1][1] if self._seen else 0
        if last != self._rows:
            raise RuntimeError(f"{last} of {self._rows} rows were there at the last look, within {self._limit:.0f} s")
        return between(self._seen, self._rows)

    def _look(self) -> None:
        while not self._stop.is_set():
            rows = self._count()
            if rows:
                self._seen.append((time.perf_counter(), rows))
            if rows >= self._rows:
                return
            self._stop.wait(PAUSE)


def between(seen: list[tuple[float, int]], rows: int) -> float:
    """Rows/s from the first look at which there were rows to the first with most of `rows`, of looks as (time, rows).

    Raises:
        RuntimeError: that is the same look.
    """
    began, first = seen[0]
    ended, most = next(look for look in seen if look[1] >= SHARE * rows)
    if ended == began:
        raise RuntimeError(f"{first} of {rows} rows came at once: there is no rate to see")
    return (most - first) / (ended - began)
