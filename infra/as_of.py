"""Views as of times, put together from settings: what the command, the ingress and the worker's snapshots share."""

import fcntl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from connectors.corrections import entries
from connectors.ports import LogReader
from connectors.view_snapshot_files import ViewSnapshotFiles
from connectors.view_snapshots import Head
from infra import compose
from infra.settings import Settings
from infra.views import corrections_of
from projections.as_of import Moment
from projections.catalogue import CATALOGUE
from projections.projection import KeyedProjection, Projection, RowProjection
from schemas import contract as contracts
from schemas.log import TopicPartition
from schemas.moments import BadMoment, moment_of, text
from schemas.record_columns import BatchDecoder
from streams.as_of import AsOf
from streams.as_of_rows import RowsAsOf
from streams.snapshotting import Parts, make, thin

KEYED = tuple(view for view in CATALOGUE if isinstance(view, KeyedProjection))


def now() -> int:
    """Microseconds since 1970 UTC, by this machine's clock."""
    return time.time_ns() // 1_000


def moment(at: str, known_at: str | None) -> Moment:
    """What a person asks for; as it is known now if `known_at` is not given.

    Raises:
        BadMoment: one of the two is no time, or in the future; the message says which.
    """
    present = now()
    return Moment(_moment("TIME", at, present), _moment("--known-at", known_at or "now", present))


def _moment(name: str, given: str, present: int) -> int:
    try:
        return moment_of(given, present)
    except BadMoment as error:
        raise BadMoment(f"{name}: {error}") from None


def snapshots(settings: Settings) -> ViewSnapshotFiles:
    return ViewSnapshotFiles(settings.data / "snapshots")


@dataclass(frozen=True, slots=True)
class _Corrected:
    """Which positions the corrections between two offsets of their topic are about."""

    settings: Settings
    log: LogReader
    until: int

    def positions(self, other: int) -> Iterable[tuple[TopicPartition, int]]:
        low, high = sorted((other, self.until))
        found = entries(self.log, compose.corrections_codec(self.settings), high)
        return [(one.correction.source, one.correction.offset) for one in found if one.at >= low]


class Opened:
    """The log and the decoders, kept open from one question to the next. For one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contract, self._schemas = contracts.load(), compose.registry(settings)
        self._snapshots = snapshots(settings)
        self._logs: dict[int, LogReader] = {}
        self._known: dict[str, dict[str, BatchDecoder]] = {}

    def close(self) -> None:
        for log in self._logs.values():
            log.close()
        self._logs.clear()

    def parts(self, view: KeyedProjection) -> Parts:
        """Under the corrections that the live view is made with, as a verification. Raises Away, BrokenCorrections."""
        corrections = corrections_of(self._settings, view)
        log = self._log(corrections)
        corrected = _Corrected(self._settings, log, corrections)
        return Parts(view, log, self._decoders(view), self._snapshots, corrections, corrected.positions)

    def documents(self, view: KeyedProjection) -> AsOf:
        return AsOf(self.parts(view))

    def rows(self, view: RowProjection) -> RowsAsOf:
        return RowsAsOf(view, self._log(corrections_of(self._settings, view)), self._decoders(view))

    def _decoders(self, view: Projection) -> dict[str, BatchDecoder]:
        if view.name not in self._known:
            self._known[view.name] = compose.decoders(view, self._contract, self._schemas)
        return self._known[view.name]

    def _log(self, corrections: int) -> LogReader:
        if corrections not in self._logs:
            self.close()  # those of older corrections are of no more use
            self._logs[corrections] = compose.log_reader(self._settings, corrections)
        return self._logs[corrections]


@contextmanager
def opened(settings: Settings) -> Iterator[Opened]:
    made = Opened(settings)
    try:
        yield made
    finally:
        made.close()


def keyed(view: Projection) -> KeyedProjection:
    """
    Raises:
        NoSnapshots: it is a view of rows.
    """
    if not isinstance(view, KeyedProjection):
        raise NoSnapshots(f"{view.name} is a view of rows; snapshots are of {', '.join(one.name for one in KEYED)}")
    return view


class NoSnapshots(ValueError):
    """Snapshots are made of views of documents alone; the message lists them."""


class Underway(Exception):
    """Another process makes a snapshot of the view just now."""


def make_snapshot(settings: Settings, view: KeyedProjection) -> Head:
    """Make one of what the log holds now, and drop those that are too many.

    Raises:
        Underway: another process is at it.
        and as streams.snapshotting.make.
    """
    folder = settings.data / "snapshots" / view.name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as held, opened(settings) as reading:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Underway(f"another process makes a snapshot of {view.name} just now") from None
        for begun in folder.glob(".*.snapshot.*"):
            begun.unlink()  # of a process that was killed: nobody else writes here now
        parts = reading.parts(view)
        head = make(parts, now())
        thin(parts.snapshots, view.name)
    return head


def described(head: Head) -> dict[str, Any]:
    """A snapshot, as `fleetlog snapshot --json` tells of it."""
    return {
        "view": head.view,
        "number": head.number,
        "revision": head.revision,
        "made_at": text(head.made_at),
        "documents": head.keys,
        "records": head.records,
        "corrections": head.corrections,
        "positions": dict(head.positions),
    }
