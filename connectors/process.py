"""What a long-lived process asks of its interpreter and its allocator."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY_YOUNG = 200_000  # ... by who reads so many messages at a time, none of which is part of a cycle
YOUNG = 20_000  # container objects made before the collector looks at them; the default of 700 is three requests' worth


def spare_collector() -> None:
    """Once all is set up: what stays for the process's life is not looked at again, and the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 50)


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """While much is read: what is there already is not looked at, and the rest seldom. By default the collector runs for
    each 700 of the client's messages, and takes more time than all that librdkafka does."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(MANY_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def give_back_memory() -> None:
    """Give freed memory back to the system. glibc keeps it otherwise: 70 MB after the recovery of 200,000 receipts. Other
    C libraries have no malloc_trim, and need none."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
