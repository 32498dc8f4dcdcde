"""Long work in a thread beside an event loop."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
STRIDE = 25  # records, which take about a millisecond
PAUSE = 50e-6  # seconds; long enough for the other thread to be scheduled


def paced(items: Iterable[T]) -> Iterator[T]:
    """The items, with a short pause now and then. Without it the loop would wait five milliseconds (the interpreter's
    switch interval) at each of its steps."""
    for number, item in enumerate(items, 1):
        yield item
        if number % STRIDE == 0:
            time.sleep(PAUSE)
