"""Where the engine of a partition stands when the partition is assigned: a snapshot, and the cuts since, processed again.

What was processed again must come to what the log holds: each event of fleet.alerts, in its order. Where it does not, code
or log are not what they were, and nobody may go on from there.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from connectors.ports import Away
from connectors.snapshots import Snapshot, SnapshotKey, Snapshots
from connectors.whole_log import WholeLog
from schemas.log import Batch, TopicPartition
from schemas.messages import Event, Foreign, Messages, TypedRecords
from schemas.rule_records import RulesAdvanced
from streams.rules.budget import Spending
from streams.rules.cuts import ALERTS, COMMANDS, CUTS, ORDER, PATIENT, TURNING, Cut, Span, inputs, runs
from streams.rules.engine import REVISION, Engine
from streams.rules.ports import RuleFailed
from streams.rules.run import Outcome
from streams.rules.state import State

log = logging.getLogger(__name__)

NAME = "rules-engine"
WAIT_SECONDS = 2.0  # for the end of a transaction, before the caller is told to come again
PAUSE_SECONDS = 0.01
MOST_RECORDS = 200_000  # that are processed again in one piece
LOOK_BACK_MICROSECONDS = 600_000_000
"""How far back the very first start of a partition looks: what came while everything was being started counts."""

FROM_THE_BEGINNING = TURNING | {COMMANDS, "fleet.certificates", "fleet.rules.aggregates"}


class Differs(Exception):
    """What the inputs lead to by the recorded cuts is not what the log holds."""


class LostCuts(Exception):
    """The log does not hold the cuts from the beginning, or inputs that they name."""


@dataclass(slots=True)
class Standing:
    """An engine, and up to where its partitions of cuts and of alerts were taken into it. `newest` is the offset and the id
    of its newest cut; `waits_since` (microseconds): something has come and waits for more."""

    engine: Engine
    cuts_until: int = 0
    alerts_until: int = 0
    newest: tuple[int, str] = (-1, "")
    since_saved: int = 0
    saved_at: float = field(default_factory=time.monotonic)
    spending: Spending = field(default_factory=Spending)
    waits_since: int | None = None

    def due(self) -> tuple[int | None, int | None]:
        """When its next timers are due."""
        return self.engine.state.timers.next(), self.engine.state.lifecycle.due()

    def may_wait(self, came: Iterable[TopicPartition], now: int, patience: int) -> bool:
        """Whether what has come may wait for more: it is of `PATIENT` topics, for less than `patience` (microseconds), and
        no timer is due."""
        topics = {source.topic for source in came}
        if not topics or topics - PATIENT or not self.engine.state.sequence:
            return False
        if any(due is not None and due <= now for due in self.due()):
            return False
        self.waits_since = now if self.waits_since is None else self.waits_since
        return now - self.waits_since < patience


class _Kept(msgspec.Struct, array_like=True):
    alerts_until: int
    state: bytes


def cut_of(advanced: RulesAdvanced) -> Cut:
    spans = (Span(TopicPartition(one.topic, one.partition), one.start, one.end) for one in advanced.positions)
    return Cut(advanced.sequence, advanced.at, tuple(spans))


class RulesRestorer:
    """Reads the log for engines."""

    def __init__(
        self,
        reader: WholeLog,
        codecs: tuple[TypedRecords[RulesAdvanced], Messages],
        end_of: Callable[[TopicPartition], int],
        snapshots: Snapshots,
        make_state: Callable[[int], State],
    ) -> None:
        """`reader` reads committed records only; `codecs` are of cuts and of alerts. `end_of` gives the end of a partition
        with the records of open transactions."""
        self._reader, self._end_of, self._snapshots, self._make_state = reader, end_of, snapshots, make_state
        self._cuts, self._alerts = codecs

    def restore(self, partition: int, now: int) -> Standing:
        """
        Raises:
            Away: try again.
            Differs, LostCuts, BrokenCuts, RuleFailed: the partition must not go on.
        """
        cuts, alerts = TopicPartition(CUTS, partition), TopicPartition(ALERTS, partition)
        bounds = self._decided([cuts, alerts])
        found = self._from_snapshot(partition, bounds)
        if found is None:
            if bounds[cuts][0] > 0 or bounds[alerts][0] > 0:
                raise LostCuts(f"{cuts} begins at {bounds[cuts][0]} and there is no snapshot: the state can't be made")
            found = Standing(Engine(self._make_state(partition)))
        self._again(found, cuts, alerts, bounds)
        if found.engine.state.sequence == 0:
            found.engine.state.positions.update(self._first_positions(partition, now))
        log.info("%s %d stands at cut %d, offset %d", NAME, partition, found.engine.state.sequence, found.cuts_until)
        return found

    def _decided(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """The bounds of partitions, once every transaction that has begun in them by now has ended."""
        ends = {source: self._end_of(source) for source in sources}
        until = time.monotonic() + WAIT_SECONDS
        while True:
            bounds = self._reader.bounds({source.topic for source in sources})
            opened = [source for source in sources if bounds[source][1] < ends[source]]
            if not opened:
                return bounds
            if time.monotonic() > until:
                raise Away(f"a transaction is open in {opened[0]}, at or behind offset {bounds[opened[0]][1]}")
            time.sleep(PAUSE_SECONDS)

    def _first_positions(self, partition: int, now: int) -> dict[TopicPartition, int]:
        bounds = self._reader.bounds(ORDER)
        counts: dict[str, int] = {}
        for source in bounds:
            counts[source.topic] = counts.get(source.topic, 0) + 1
        since = max(0, now - LOOK_BACK_MICROSECONDS) // 1000
        return {
            source: bounds[source][0]
            if source.topic in FROM_THE_BEGINNING
            else max(bounds[source][0], self._reader.offset_at(source, since))
            for source in inputs(partition, counts)
        }

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def _from_snapshot(self, partition: int, bounds: Mapping[TopicPartition, tuple[int, int]]) -> Standing | None:
        """By way of the snapshot; None if there is none of this log."""
        cuts = TopicPartition(CUTS, partition)
        try:
            snapshot = self._snapshots.load(SnapshotKey(NAME, partition, REVISION))
        except Away as away:
            log.warning("%s: no snapshot of partition %d: %s", NAME, partition, away)
            return None
        if snapshot is None or not bounds[cuts][0] <= snapshot.newest < bounds[cuts][1] or not self._is_of(snapshot, cuts):
            return None
        state = self._make_state(partition)
        try:
            kept = msgspec.msgpack.decode(snapshot.state, type=_Kept)
            state.restore(kept.state)
        except (ValueError, RuleFailed) as error:
            log.warning("%s: the snapshot of partition %d can't be used: %s", NAME, partition, error)
            return None
        newest = snapshot.newest, snapshot.newest_id
        return Standing(Engine(state), snapshot.following, kept.alerts_until, newest)

    def _is_of(self, snapshot: Snapshot, cuts: TopicPartition) -> bool:
        for _, advanced in self._records(cuts, snapshot.newest, snapshot.newest + 1):
            return advanced.event_id == snapshot.newest_id
        return False

    def save(self, standing: Standing) -> None:
        """Keep a snapshot. A store that is away is no matter: the next one comes soon."""
        state, (newest, newest_id) = standing.engine.state, standing.newest
        standing.since_saved, standing.saved_at = 0, time.monotonic()
        if newest < 0:
            return
        kept = msgspec.msgpack.encode(_Kept(standing.alerts_until, state.snapshot()))
        try:
            key = SnapshotKey(NAME, state.partition, REVISION)
            self._snapshots.save(key, Snapshot(standing.cuts_until, newest, newest_id, kept))
        except Away as away:
            log.warning("%s: no snapshot of partition %d could be kept: %s", NAME, state.partition, away)

    # --- processing again ---------------------------------------------------------------------------------------------

    def _again(
        self,
        found: Standing,
        cuts: TopicPartition,
        alerts: TopicPartition,
        bounds: Mapping[TopicPartition, tuple[int, int]],
    ) -> None:
        records = list(self._records(cuts, found.cuts_until, bounds[cuts][1]))
        written = self._events(alerts, found.alerts_until, bounds[alerts][1])
        for run in runs([cut_of(advanced) for _, advanced in records], MOST_RECORDS):
            outcomes, _ = found.engine.advance(run, self._slices(run))
            for cut, outcome in zip(run, outcomes, strict=True):
                _check(cut, outcome, written, alerts)
        if (more := next(written, None)) is not None:
            raise Differs(f"{alerts} holds {type(more).__name__} {more.event_id}, which no cut leads to")
        if records:
            found.newest = records[-1][0], records[-1][1].event_id
        found.cuts_until, found.alerts_until = bounds[cuts][1], bounds[alerts][1]
        found.since_saved = len(records)

    def _records(self, cuts: TopicPartition, start: int, stop: int) -> Iterator[tuple[int, RulesAdvanced]]:
        for batch in self._read(cuts, start, stop):
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                advanced = self._cuts.decode(value)
                if advanced is None:
                    raise LostCuts(f"{cuts} holds no cut at offset {offset}")
                yield offset, advanced

    def _events(self, alerts: TopicPartition, start: int, stop: int) -> Iterator[Event]:
        for batch in self._read(alerts, start, stop):
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                try:
                    message = self._alerts.decode(value)
                except Foreign as error:
                    raise LostCuts(f"{alerts} holds at offset {offset} what can't be read: {error}") from None
                if isinstance(message, Event):
                    yield message

    def _slices(self, run: Sequence[Cut]) -> dict[TopicPartition, list[Batch]]:
        return {source: list(self._read(source, *span)) for source, span in spans_of(run).items()}

    def _read(self, source: TopicPartition, start: int, stop: int) -> Iterable[Batch]:
        try:
            yield from self._reader.read(source, start, stop)
        except ValueError as error:
            raise LostCuts(str(error)) from error


def spans_of(run: Sequence[Cut]) -> dict[TopicPartition, tuple[int, int]]:
    """The offsets [from, to) of each partition that a run of cuts has taken."""
    found: dict[TopicPartition, tuple[int, int]] = {}
    for cut in run:
        for span in cut.spans:
            begins, _ = found.get(span.source, (span.begins, 0))
            found[span.source] = begins, span.following
    return {source: (begins, end) for source, (begins, end) in found.items() if end > begins}


def _check(cut: Cut, outcome: Outcome, written: Iterator[Event], alerts: TopicPartition) -> None:
    for _, event in outcome.alerts:
        stored = next(written, None)
        if stored != event:
            what = "nothing" if stored is None else f"{type(stored).__name__} {stored.event_id}"
            raise Differs(
                f"cut {cut.sequence} leads to {type(event).__name__} {event.event_id}, where {alerts} holds {what}"
            )
