"""Folding ranges of the log into a version, outside any group: for rebuild, and for versions that have to catch up."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.ports import Away, LogReader
from connectors.process import seldom_collecting
from schemas.log import TopicPartition
from streams.failure import backoff
from streams.pieces import Size, pieces
from streams.runner import Runner

Stops = Mapping[TopicPartition, int]
"""For each partition the offset up to which it is folded."""

Tick = Callable[[int], None]
"""Called with the records folded since the last call, at least at every piece; what it raises ends the fold."""

Fold = Callable[[int, Stops, Tick], None]
"""Folds a version's partitions from its own positions up to the stops."""


class Stalled(Exception):
    """Nothing moved for the time that was set."""


@dataclass(slots=True)
class Patience:
    """How long a fold may stand still: what it needs may be away for a while, but not for good."""

    seconds: float
    moved: float = 0.0
    tries: int = 0

    def __post_init__(self) -> None:
        self.moved = time.monotonic()

    def progress(self) -> None:
        self.moved, self.tries = time.monotonic(), 0

    def wait(self, error: Away) -> None:
        """
        Raises:
            Stalled: there was no progress for too long.
        """
        silent = time.monotonic() - self.moved
        if silent >= self.seconds:
            raise Stalled(f"no progress for {silent:.0f} s: {error}") from error
        time.sleep(min(backoff(self.tries), self.seconds))
        self.tries += 1


def fold_here(
    log: LogReader, make_runner: Callable[[int], Runner], patience: float = 60.0, size: Size | None = None
) -> Fold:
    """A fold in this process, one partition after the other.

    The fold raises Stalled after `patience` seconds without progress, ValueError where the log no longer reaches back to
    a version's position, and what a runner raises.
    """
    largest = size or Size()

    def one(runner: Runner, source: TopicPartition, stop: int, waiting: Patience, tick: Tick) -> None:
        for piece in pieces(log.read(source, runner.position(source) or 0, stop), largest):
            handled = runner.handle(piece)
            waiting.progress()
            tick(handled.records)

    @seldom_collecting()
    def fold(version: int, stops: Stops, tick: Tick) -> None:
        waiting, runner = Patience(patience), make_runner(version)
        while True:
            try:
                runner.start(stops)
                for source, stop in stops.items():
                    one(runner, source, stop, waiting, tick)
                return
            except Away as away:
                tick(0)
                waiting.wait(away)

    return fold
