"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

import shutil
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from streams.rebuild import Progress

BAR_SECONDS = 0.1
LINE_SECONDS = 1.0
WIDEST_BAR = 40


ENDING = (signal.SIGINT, signal.SIGTERM)


class Bar:
    """A context manager, for the main thread; `report` draws when it is time to.

    A request to end (Ctrl-C, SIGTERM) is heard at the next report, where nothing is half done: a KeyboardInterrupt that came
    within a client's call could come out as that call's failure. A second one is heard at once.
    """

    def __init__(self, name: str, stream: TextIO | None = None) -> None:
        self._name, self._stream = name, stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._last, self._drawn = 0.0, False
        self._asked = False

    def __enter__(self) -> "Bar":
        self._before = {number: signal.signal(number, self._ask) for number in ENDING}
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._drawn and self._terminal:
            self._stream.write("\n")
            self._stream.flush()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def report(self, progress: "Progress") -> None:
        """
        Raises:
            KeyboardInterrupt: it was asked to end.
        """
        if self._asked:
            raise KeyboardInterrupt
        now = time.monotonic()
        if now - self._last < (BAR_SECONDS if self._terminal else LINE_SECONDS):
            return
        self._last, self._drawn = now, True
        text = sentence(self._name, progress)
        if self._terminal:
            self._stream.write(f"\r\x1b[K{bar(progress, shutil.get_terminal_size().columns - len(text) - 4)}{text}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()


def sentence(name: str, progress: "Progress") -> str:
    """How far it is, how fast, and how long it will take."""
    left = eta(progress.records, progress.total, progress.rate)
    until = f", {left:,.0f} s left" if left is not None else ""
    return f"{name}: {progress.records:,} of {progress.total:,} records, {progress.rate:,.0f}/s{until}"


def eta(records: int, total: int, rate: float) -> float | None:
    """Seconds that are left at this rate; None where nothing moves."""
    left = max(0, total - records)
    if not left:
        return 0.0
    return left / rate if rate > 0 else None


def bar(progress: "Progress", width: int) -> str:
    """A bar of at most `width` characters with a space behind it, or nothing where that is too narrow."""
    width = min(width, WIDEST_BAR)
    if width < 10 or not progress.total:
        return ""
    done = round(width * min(1.0, progress.records / progress.total))
    return f"[{'=' * done}{' ' * (width - done)}] "
