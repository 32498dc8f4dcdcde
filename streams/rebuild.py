"""Rebuild: the log into a new version of a view, beside the live one, which then takes its place.

What a version stands at lies in the store with what it holds, moved in one step. So a rebuild may die at any point, and
goes on where the version stands (`resume`). What was asked of it by others (pause, cancel) and what it tells them (how
far it is, that it is alive) are facts of the version.

A rebuild holds no dead letters and no other effect for records that the live version has seen: what that one set aside is
left out in silence. Beyond the live one's mark the effects are made up for before the switch (streams.promotion).
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from connectors.ports import Away, LogReader, Superseded, ViewStore
from projections.projection import Projection
from schemas.log import TopicPartition
from streams.folding import Fold
from streams.versions import (
    HEARTBEAT,
    RESUMABLE,
    SCRATCH,
    UNFINISHED,
    Refused,
    State,
    Version,
    listed,
    version_of,
    versions_of,
)

# The last rounds only read what came in during the round before; a round this small ends the chase.
SMALL_ROUND = 5_000
MOST_ROUNDS = 50
# While records come in all the time, the live version has always folded some that came during the last round. After so many
# rounds it is enough that these are few: the worker folds them into the new version within a second.
STRICT_ROUNDS = 5
CLOSE = 1_000


class BehindLive(Exception):
    """The new version did not reach the live one's positions: records came in faster than they could be folded."""


class Interrupted(Exception):
    """Somebody asked for the version's building to be paused or cancelled; `state` says which."""

    def __init__(self, version: int, state: State) -> None:
        super().__init__(f"version {version} was {state}")
        self.version, self.state = version, state


class TakenOver(Exception):
    """Another process goes on building the version, or it was dropped: this one must leave it alone."""


@dataclass(slots=True)
class Progress:
    """Records read of those in the log when the round began; `tell` is called whenever that changes."""

    tell: Callable[["Progress"], None] = lambda progress: None
    records: int = 0
    total: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Records per second so far."""
        return self.records / max(1e-9, time.monotonic() - self.started)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a rebuild works with. `fold` folds a version up to some stops; `code` names the program, for the facts;
    `watch_seconds`: how often the facts are looked at while a version is built."""

    projection: Projection
    store: ViewStore
    log: LogReader
    fold: Fold
    code: str = "unknown"
    watch_seconds: float = 0.25


def rebuild(
    parts: Parts,
    report: Callable[[Progress], None] = lambda progress: None,
    facts: Mapping[str, str] | None = None,
) -> Version:
    """Build a new version from the whole log, up to where the live one stands and beyond. It is ready then, not live.

    `facts` say how it is made, such as with which corrections the log gives out its records; the version keeps them.

    Raises:
        Refused: a version is unfinished, or the log no longer reaches back to its beginning. Nothing was changed.
        As `build`.
    """
    return build(parts, begin(parts, facts or {}), report)


def begin(parts: Parts, facts: Mapping[str, str]) -> int:
    """Prepare a new version; returns its number. Raises Refused."""
    versions = versions_of(parts.store)
    unfinished = [version for version in versions if version.state in UNFINISHED]
    if unfinished:
        raise Refused(f"{parts.projection.name}: version {listed(unfinished)} is unfinished: resume, cancel or drop it")
    for source, (low, _) in parts.log.bounds(parts.projection.topics).items():
        _reaches_back(parts, source, low, 0)
    number = max([*(version.number for version in versions), *(n for n in parts.store.versions() if n < SCRATCH)]) + 1
    parts.store.prepare(number)
    made = {"revision": str(parts.projection.revision), "code": parts.code, "started": str(time.time())}
    parts.store.note(number, {**facts, **made, "state": State.BUILDING, "heartbeat": "0"})
    return number


def resumable(projection: Projection, store: ViewStore, number: int | None) -> Version:
    """The version that a resume of `number` (None: the newest that can be resumed) is about.

    Raises:
        Refused: there is no such version, it can't be gone on with, or a process is at work on it.
    """
    view, versions = projection.name, versions_of(store)
    candidates = [version for version in versions if version.state in RESUMABLE]
    if number is None and not candidates:
        raise Refused(f"{view}: no version waits to be resumed; there are {listed(versions)}")
    version = candidates[-1] if number is None else version_of(store, number)
    if version.state not in RESUMABLE:
        raise Refused(f"{view}: version {version.number} is {version.state}, it can't be resumed")
    if version.being_built(time.time()):
        raise Refused(f"{view}: version {version.number} is being built by {version.facts.get('builder')}")
    made_by = version.facts.get("revision")
    if made_by != str(projection.revision):
        raise Refused(f"{view}: version {version.number} was begun by revision {made_by}: drop it and rebuild")
    return version


def build(parts: Parts, number: int, report: Callable[[Progress], None]) -> Version:
    """Fold into a version (one that was begun, or is `resumable`) until it stands nowhere behind the live one; it is ready
    then.

    Raises:
        Interrupted, TakenOver: others had their say.
        Stalled, BehindLive, Away, ValueError and what a runner raises: it failed, which is noted; it may be resumed.
    """
    watch = _Watch(parts, number)
    parts.store.prepare(number)
    with watch.life():
        progress = Progress(report)
        chase(parts, number, progress, watch.tick)
        watch.ready(progress)
    return version_of(parts.store, number)


def chase(parts: Parts, number: int, progress: Progress, tick: Callable[[Progress], None]) -> None:
    """Fold the log up to its end, again and again, until the version stands nowhere behind the live one, or, where records
    come in all the time, close to it.

    Raises:
        BehindLive: it never did.
        ValueError: the log no longer reaches back to where the version stands.
    """
    live = parts.store.live()
    for done in range(MOST_ROUNDS):
        small = _round(parts, number, progress, tick) < SMALL_ROUND
        if small and behind(parts.store, live, number) <= (0 if done < STRICT_ROUNDS else CLOSE):
            return
    raise BehindLive(f"{parts.projection.name}: version {number} is still behind version {live}; it was not promoted")


def _round(parts: Parts, number: int, progress: Progress, tick: Callable[[Progress], None]) -> int:
    """Fold everything up to the log's present end; returns how many records that were."""
    bounds = parts.log.bounds(parts.projection.topics)
    stored = parts.store.positions(number)
    before = progress.records
    stops = {}
    for source, (low, end) in bounds.items():
        start = stored.get(source, 0)
        _reaches_back(parts, source, low, start)
        if end > start:
            stops[source] = end
    progress.total = before + sum(end - stored.get(source, 0) for source, end in stops.items())

    def count(records: int) -> None:
        progress.records += records
        progress.tell(progress)
        tick(progress)

    count(0)
    if stops:
        parts.fold(number, stops, count)
    return progress.records - before


def _reaches_back(parts: Parts, source: TopicPartition, low: int, start: int) -> None:
    if start < low:
        raise Refused(
            f"{source}: the log begins at offset {low}; what came before is gone, so {parts.projection.name} "
            "can't be rebuilt from it"
        )


def behind(store: ViewStore, old: int, new: int) -> int:
    """How many offsets the old version has folded that the new one has not."""
    ours: Mapping[TopicPartition, int] = store.positions(new)
    return sum(max(0, position - ours.get(source, 0)) for source, position in store.positions(old).items())


def _told(progress: Progress) -> dict[str, str]:
    numbers = {"records": progress.records, "total": progress.total, "rate": round(progress.rate)}
    return {"heartbeat": str(time.time()), **{name: str(number) for name, number in numbers.items()}}


class _Watch:
    """What a builder tells of itself in the version's facts, and what it hears there."""

    def __init__(self, parts: Parts, number: int) -> None:
        self._parts, self._number = parts, number
        self._builder = f"{socket.gethostname()} {os.getpid()} {secrets.token_hex(4)}"
        self._looked, self._told = 0.0, 0.0

    @contextmanager
    def life(self) -> Iterator[None]:
        """The building of a version: it says that it is being built, and at the end what became of it."""
        begun = {"state": State.BUILDING, "builder": self._builder, "heartbeat": str(time.time())}
        try:
            self._note({**begun, "wanted": None, "reason": None})  # in the try: Ctrl-C may come before it has its answer
            yield
        except TakenOver:
            raise
        except Interrupted as interrupted:
            self._end(interrupted.state, str(interrupted))
            raise
        except KeyboardInterrupt:
            self._end(State.PAUSED, "interrupted")
            raise
        except BaseException as error:
            self._end(State.FAILED, f"{type(error).__name__}: {error}")
            raise

    def ready(self, progress: Progress) -> None:
        self._look()
        self._note({"state": State.READY, "builder": None, **_told(progress)})

    def tick(self, progress: Progress) -> None:
        """
        Raises:
            Interrupted, TakenOver.
        """
        now = time.monotonic()
        if now - self._looked < self._parts.watch_seconds:
            return
        self._looked = now
        try:
            self._look()
            if now - self._told >= min(HEARTBEAT, self._parts.watch_seconds * 4):
                self._told = now
                self._note(_told(progress))
        except Away:
            return  # whoever folds learns the same, and knows how long to wait

    def _look(self) -> None:
        facts = self._parts.store.facts(self._number)
        if not facts:
            raise TakenOver(f"version {self._number} was dropped while it was built")
        if facts.get("builder") != self._builder:
            raise TakenOver(f"version {self._number} is being built by {facts.get('builder')}")
        if "wanted" in facts:
            raise Interrupted(self._number, State(facts["wanted"]))

    def _end(self, state: State, reason: str) -> None:
        try:
            self._note({"state": state, "reason": reason, "wanted": None, "builder": None})
        except (Away, TakenOver):
            return  # it stays "building" without a sign of life, which can be resumed as well

    def _note(self, facts: Mapping[str, str | None]) -> None:
        try:
            self._parts.store.note(self._number, facts)
        except Superseded as gone:
            raise TakenOver(f"version {self._number} was dropped while it was built") from gone
