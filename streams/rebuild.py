"""Rebuild: the log into a new version of a view, beside the live one, which then takes its place.

A rebuild holds no dead letters and no other effect: what the live view set aside is left out in silence.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connectors.ports import LogReader, ViewStore
from projections.projection import Projection
from schemas.log import TopicPartition
from streams.runner import Runner

# The last rounds only read what came in during the round before; a round this small ends the chase.
SMALL_ROUND = 5_000
MOST_ROUNDS = 50

# Versions from here on are verification's scratch (streams.verify), never a view's.
SCRATCH = 1_000_000


@dataclass(slots=True)
class Progress:
    """Records read of those in the log when the round began; `tell` is called whenever that changes."""

    tell: Callable[["Progress"], None]
    records: int = 0
    total: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Records per second so far."""
        return self.records / max(1e-9, time.monotonic() - self.started)


class BehindLive(Exception):
    """The new version did not reach the live one's positions."""


def rebuild(
    projection: Projection,
    store: ViewStore,
    log: LogReader,
    make_runner: Callable[[int], Runner],
    report: Callable[[Progress], None] = lambda progress: None,
    facts: Mapping[str, str] | None = None,
) -> tuple[int, int]:
    """Build a new version from the whole log and promote it; returns (version, records read).

    `facts` say how it is made, such as with which corrections `log` gives out its records; the version keeps them.
    Versions older than the one that was live are dropped; that one is kept, as a worker may still be writing to it.

    Raises:
        ValueError: the log no longer reaches back to its beginning, so that the view can't be made from it.
        BehindLive: records came in faster than they could be folded.
    """
    old = store.live()
    version = max([old, *(made for made in store.versions() if made < SCRATCH)]) + 1
    store.prepare(version)
    progress = Progress(report)
    try:
        store.note(version, facts or {})
        _chase(projection, store, log, make_runner(version), old, progress)
    except BaseException:
        store.drop(version)
        raise
    store.promote(version)
    for outdated in store.versions():
        if outdated < version and outdated != old:
            store.drop(outdated)
    return version, progress.records


def _chase(
    projection: Projection,
    store: ViewStore,
    log: LogReader,
    runner: Runner,
    old: int,
    progress: Progress,
) -> None:
    """Fold the log up to its end, again and again, until the new version stands nowhere behind the old one."""
    for _ in range(MOST_ROUNDS):
        if _round(projection, log, runner, progress) < SMALL_ROUND and _reached(store, old, runner.version):
            return
    raise BehindLive(f"{projection.name}: version {runner.version} is still behind version {old}; it was not promoted")


def _round(projection: Projection, log: LogReader, runner: Runner, progress: Progress) -> int:
    """Fold everything up to the log's present end; returns how many records that were."""
    bounds = log.bounds(projection.topics)
    starts = runner.start(bounds)
    before = progress.records
    progress.total = before + sum(max(0, end - starts[source]) for source, (_, end) in bounds.items())
    progress.tell(progress)
    for source, (low, end) in bounds.items():
        if starts[source] < low:
            raise ValueError(
                f"{source}: the log begins at offset {low}; what came before is gone, so {projection.name} "
                "can't be rebuilt from it"
            )
        for batch in log.read(source, starts[source], end):
            progress.records += runner.handle(batch).records
            progress.tell(progress)
    return progress.records - before


def _reached(store: ViewStore, old: int, new: int) -> bool:
    """Whether the new version stands nowhere behind the old one."""
    ours: Mapping[TopicPartition, int] = store.positions(new)
    return all(ours.get(source, 0) >= position for source, position in store.positions(old).items())
