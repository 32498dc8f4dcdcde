"""Which version readers see: promotion, and the way back.

Readers must never see a version that stands behind what they saw a moment ago. So a version that was waiting, or was
retired, is first brought to where the live one stands, beside it; only then is the pointer moved, in one step of the
store. The workers notice and go on from the new version's own position.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from connectors.ports import ViewStore
from schemas.columns import Fault
from schemas.log import Batch, TopicPartition
from streams.rebuild import Parts, Progress, chase
from streams.runner import Records, Runner
from streams.versions import SPENT, Refused, State, Version, listed, version_of, versions_of

Effects = Callable[[Mapping[TopicPartition, int]], Runner]
"""Makes a runner that writes nothing and sets bad records aside, from some positions on."""


def promote(
    parts: Parts,
    version: Version,
    effects: Effects | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Version:
    """Make a version (see `promotable`) the live one.

    Records between the live version's mark and the new one's had no effects yet: they have them now, before the switch,
    as nobody folds them again. A crash in between makes them have them twice. Versions older than the one that was live
    are dropped; that one is kept, as a worker may still be writing to it and somebody may want it back.

    Raises:
        Refused: it was made by another revision of the view; nothing was changed.
        BehindLive, Stalled, Away, ValueError: it could not be brought to where the live one stands; it was not promoted.
    """
    old = _switch(parts, version, effects, report, {"previous": str(parts.store.live())})
    for outdated in versions_of(parts.store):
        oldest_kept = old if outdated.state is State.RETIRED else version.number
        if outdated.state in SPENT and outdated.number < min(oldest_kept, version.number):
            parts.store.drop(outdated.number)
    return version_of(parts.store, version.number)


def rollback(
    parts: Parts,
    version: Version,
    effects: Effects | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Version:
    """Make the version that was live before (see `earlier`) the live one again. Nothing is dropped.

    Raises:
        As `promote`.
    """
    _switch(parts, version, effects, report, {})
    return version_of(parts.store, version.number)


def _switch(
    parts: Parts,
    version: Version,
    effects: Effects | None,
    report: Callable[[Progress], None],
    facts: Mapping[str, str],
) -> int:
    """Bring a version to where the live one stands and move the pointer; returns the one that was live."""
    made_by = version.facts.get("revision", str(parts.projection.revision))
    if made_by != str(parts.projection.revision):
        raise Refused(
            f"{parts.projection.name}: version {version.number} was made by revision {made_by} of the view and this is "
            f"revision {parts.projection.revision}: it can't be brought up to date by this program"
        )
    store, old = parts.store, parts.store.live()
    store.prepare(version.number)
    chase(parts, version.number, Progress(report), lambda progress: None)
    if effects is not None:
        make_up_for(parts, effects, store.positions(old), store.positions(version.number))
    store.note(version.number, facts)
    store.promote(version.number)
    store.note(version.number, {"state": State.LIVE, "promoted": str(time.time())})
    _retire(store, old)
    return old


def _retire(store: ViewStore, number: int) -> None:
    if number in store.versions():  # version 1 of a view that no worker ever ran is not there
        store.note(number, {"state": State.RETIRED})


class Unwritten:
    """A writer (streams.runner) that stands at some positions and writes nothing: its runner only has effects."""

    def __init__(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(positions)

    def positions(self, version: int) -> dict[TopicPartition, int]:
        return self._positions

    def waiting(self, version: int, batch: Batch, faults: Sequence[Fault]) -> Sequence[Fault]:
        return ()

    def write(self, version: int, batch: Batch, records: Records) -> None:
        """Nothing."""


def make_up_for(
    parts: Parts, effects: Effects, mark: Mapping[TopicPartition, int], reached: Mapping[TopicPartition, int]
) -> None:
    """Let the records from `mark` up to `reached` have their effects."""
    runner = effects(mark)
    beyond = {source: stop for source, stop in reached.items() if stop > mark.get(source, 0)}
    starts = runner.start(beyond)
    for source, stop in beyond.items():
        for batch in parts.log.read(source, starts[source], stop):
            runner.handle(batch)


def promotable(store: ViewStore, number: int | None) -> Version:
    """The version that a promotion of `number` (None: the newest that is ready) is about.

    Raises:
        Refused: there is none, or it is not ready (one that was live before is).
    """
    versions = versions_of(store)
    if number is None:
        ready = [version for version in versions if version.state is State.READY]
        if not ready:
            raise Refused(f"no version is ready; there are {listed(versions)}")
        return ready[-1]
    version = version_of(store, number)
    if version.state not in (State.READY, State.RETIRED):
        raise Refused(f"version {number} is {version.state}, not ready")
    return version


def earlier(store: ViewStore) -> Version:
    """The version that a rollback goes back to: the one whose place the live one took.

    Raises:
        Refused: none is kept.
    """
    versions = versions_of(store)
    live = next(version for version in versions if version.state is State.LIVE)
    retired = [version for version in versions if version.state is State.RETIRED]
    noted = [version for version in retired if str(version.number) == live.facts.get("previous")]
    chosen = noted or [version for version in retired if version.number < live.number]
    if not chosen:
        raise Refused(f"no version from before version {live.number} is kept; there are {listed(versions)}")
    return chosen[-1]
