"""Runs the engines of the partitions that this process owns: takes what has come, advances, and writes cuts, alerts and
commands in one transaction. No Faust, no threads.

The group of fleet.alerts.commands says who owns a partition, and its generation fences who does not any more. What an engine
has worked out and could not write is written by the next call: an engine is never asked twice.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

from connectors.inputs import Inputs
from connectors.ports import Away
from connectors.transactions import Disowned, Transactions
from schemas.log import Batch, TopicPartition
from schemas.rule_messages import RULE_COMMANDS
from streams.rules.clock import tick
from streams.rules.cuts import ALERTS, COMMANDS, LOCAL, PACED, Cut, in_order, inputs
from streams.rules.restore import LOOK_BACK_MICROSECONDS, Standing
from streams.rules.run import Counts
from streams.rules.writing import Codec, Made, made, spans
from streams.runner import Gap

log = logging.getLogger(__name__)

QUIET_TURNS = 20
"""Turns in a row in which nothing came, after which what the log holds beyond is taken to be no record."""


class EngineFailed(Exception):
    """The engine of a partition can't go on: a bug, or a log that does not hold what it must. The others can."""

    def __init__(self, partition: int, error: BaseException) -> None:
        super().__init__(f"partition {partition}: {type(error).__name__}: {error}")
        self.partition = partition


class Restores(Protocol):
    """See streams.rules.restore."""

    def restore(self, partition: int, now: int) -> Standing: ...
    def save(self, standing: Standing) -> None: ...


@dataclass(frozen=True, slots=True)
class Turned:
    """What a turn did: `lag` is the time (microseconds) by which the clock of each partition was behind in its cut, `idle`
    the seconds that it waited for something to come."""

    records: int = 0
    alerts: int = 0
    suspended: int = 0
    counts: Counts = field(default_factory=Counts)
    lag: Mapping[int, int] = field(default_factory=dict)
    waiting: bool = False
    """Whether there is something that waits for more."""
    idle: float = 0.0


class RulesRunner:
    """`start` may come from another thread (a rebalance); it waits for the turn in hand."""

    def __init__(
        self,
        codecs: Mapping[str, Codec],
        transactions: Transactions,
        restorer: Restores,
        sources: Inputs,
        partitions: Mapping[str, int],
        now: Callable[[], int],
    ) -> None:
        """`codecs` of cuts, alerts and the commands of rules; `partitions` of every input; `now` in microseconds."""
        self._codecs, self._transactions, self._restorer = codecs, transactions, restorer
        self._sources, self._partitions, self._now = sources, partitions, now
        self._standings: dict[int, Standing] = {}
        self._waiting: dict[int, dict[TopicPartition, list[Batch]]] = {}
        self._unwritten: list[Made] = []
        self._broken: dict[int, Exception] = {}
        self._counts = Counts()
        self._quiet, self._assigned_anew = 0, False
        self._behind: set[TopicPartition] | None = None
        self._confirmed = set[int]()
        self._lock = Lock()

    # --- ownership ----------------------------------------------------------------------------------------------------

    def start(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Partitions of fleet.alerts.commands were just assigned; returns where their commands go on.

        Raises:
            Away: something that is needed does not answer, or a transaction is still open; try again.
        """
        with self._lock:
            self._transactions.open()
            starts = {}
            for source in sources:
                self._forget(source.partition)
                self._confirmed.discard(source.partition)
                starts[source] = self._started(source)
            return starts

    def _started(self, source: TopicPartition) -> int:
        try:
            standing = self._restorer.restore(source.partition, self._now())
        except Away:
            raise
        except Exception as error:
            log.exception("the state of partition %d of the rules' engine can't be made", source.partition)
            self._broken[source.partition] = error
            return 0
        self._standings[source.partition], self._waiting[source.partition] = standing, {}
        return standing.engine.state.positions.get(source, 0)

    def keep_only(self, partitions: Iterable[int]) -> None:
        """These are this process's, and no others. One that was started and is not among them may be read soon, or may have
        gone again before it was read: until it is among them, nothing is read, worked out or written for it."""
        kept = set(partitions)
        with self._lock:
            for partition in self._confirmed - kept:
                self._forget(partition)
            working = kept & set(self.owned())
            self._assigned_anew = self._assigned_anew or working != self._confirmed
            self._confirmed = working

    def _forget(self, partition: int) -> None:
        self._standings.pop(partition, None)
        self._waiting.pop(partition, None)
        self._broken.pop(partition, None)
        self._unwritten = [one for one in self._unwritten if one.standing.engine.state.partition != partition]

    def _disown(self) -> None:
        """Of those that were worked on nothing is known any more; what was started since stays as it was restored."""
        for partition in self._confirmed:
            self._forget(partition)
        self._confirmed, self._assigned_anew = set(), True

    def _working(self) -> dict[int, Standing]:
        """The engines that are this process's, by their partitions."""
        return {partition: standing for partition, standing in self._standings.items() if partition in self._confirmed}

    def owned(self) -> list[int]:
        return sorted({*self._standings, *self._broken})

    def position(self, source: TopicPartition) -> int | None:
        """The offset of the next command, or None for a partition that was not started."""
        standing = self._standings.get(source.partition)
        return None if standing is None else standing.engine.state.positions.get(source)

    # --- a turn -------------------------------------------------------------------------------------------------------

    def turn(self, commands: Sequence[Batch], member: Callable[[], Any], seconds: float, patience: int = 0) -> Turned:
        """Take what has come (waiting for up to `seconds`), and write what follows. Where nothing but records of
        `cuts.PATIENT` have come, they wait for up to `patience` (microseconds) for more.

        Raises:
            Away: something that is needed does not answer; call again, with new commands only.
            Disowned: `start` the partitions again.
            EngineFailed: one partition must not go on; the others may, by the next call.
        """
        with self._lock:
            self._take(commands, self._standings)  # also for those that nothing is done for yet: they do not come again
            if self._unwritten:
                self._write(member)
            if self._assigned_anew:
                self._assign()
            began = time.monotonic()
            self._came(self._sources.take(seconds))
            idle = time.monotonic() - began
            self._counts, self._behind, written = Counts(), None, []
            for partition in sorted(self._confirmed):
                found = self._step(partition, patience)
                if found is not None:
                    self._unwritten.append(found)
                    written.append(found)
            if written:
                self._write(member)
            return self._turned(written, idle)

    def _step(self, partition: int, patience: int) -> Made | None:
        if (why := self._broken.get(partition)) is not None:
            raise EngineFailed(partition, why)
        try:
            waits = self._standings[partition].may_wait(self._waiting[partition], self._now(), patience)
            return None if waits else self._advanced(partition)
        except (Away, Disowned):
            raise
        except Exception as error:
            self._broken[partition] = error
            raise EngineFailed(partition, error) from error

    def _assign(self) -> None:
        """Read every input from where the engine stands that has read least of it; what others have read, they pass over."""
        positions: dict[TopicPartition, int] = {}
        for partition, standing in self._working().items():
            self._waiting[partition] = {
                source: batches for source, batches in self._waiting[partition].items() if source.topic == COMMANDS
            }
            for source in inputs(partition, self._partitions):
                if source.topic != COMMANDS:
                    at = standing.engine.state.positions.get(source, 0)
                    positions[source] = min(positions.get(source, at), at)
        self._sources.assign(positions)
        self._assigned_anew, self._quiet = False, 0

    def _came(self, batches: Sequence[Batch]) -> None:
        self._quiet = 0 if any(batch.source.topic in PACED for batch in batches) else self._quiet + 1
        self._take(batches, self._confirmed)

    def _take(self, batches: Sequence[Batch], partitions: Iterable[int]) -> None:
        for batch in batches:
            for partition in partitions:
                waiting = self._waiting.get(partition)
                if waiting is not None and (batch.source.topic not in LOCAL or batch.source.partition == partition):
                    self._take_for(partition, waiting, batch)

    def _take_for(self, partition: int, waiting: dict[TopicPartition, list[Batch]], batch: Batch) -> None:
        known = waiting.get(batch.source)
        at = known[-1].following if known else self._standings[partition].engine.state.positions.get(batch.source, 0)
        fresh = batch.since(at)
        if fresh is None:
            return
        if fresh.begins > at:
            text = f"{batch.source}: the log goes on at {fresh.begins}, the engine of partition {partition} stands at {at}"
            self._broken[partition] = Gap(text)
            return
        waiting.setdefault(batch.source, []).append(fresh)

    def _advanced(self, partition: int) -> Made | None:
        """What the engine makes of what has come, if anything has, or a timer is due, or it is its first cut."""
        standing, slices = self._standings[partition], self._waiting[partition]
        state = standing.engine.state
        clock = self._clock(standing, slices)
        if not slices and state.sequence and all(due is None or due > clock for due in standing.due()):
            return None
        cut = Cut(state.sequence + 1, clock, in_order(spans(standing, slices, self._partitions)))
        self._waiting[partition], standing.waits_since = {}, None
        try:
            (outcome,), counts = standing.engine.advance([cut], slices)
        except Away as away:  # in the midst of its work: the log says where it stands
            self._disown()
            raise Disowned(str(away)) from away
        self._counts = self._counts.plus(counts)
        suspensions = standing.spending.suspensions(state, cut, standing.engine.spent)
        return made(standing, cut, outcome._replace(commands=(*outcome.commands, *suspensions)), self._codecs)

    def _clock(self, standing: Standing, slices: Mapping[TopicPartition, Sequence[Batch]]) -> int:
        """The clock of the next cut: the time of day where the devices' topics are read to their ends."""
        state, now = standing.engine.state, self._now()
        before = state.at or now - LOOK_BACK_MICROSECONDS
        paced = [TopicPartition(topic, state.partition) for topic in PACED if topic in self._partitions]
        if not slices and all(due is None or due > now for due in standing.due()):
            return max(before, now)
        if self._quiet <= QUIET_TURNS and not self._left().isdisjoint(paced):
            return tick(now, before, False, standing.engine.newest(slices))
        return tick(now, before, True, None)

    def _left(self) -> set[TopicPartition]:
        """What the devices' topics hold more of than was taken; asked once in a turn."""
        if self._behind is None:
            paced = [source for p in self._confirmed for source in inputs(p, self._partitions) if source.topic in PACED]
            self._behind = self._sources.behind(paced)
        return self._behind

    def _write(self, member: Callable[[], Any]) -> None:
        """Everything that was made, in one transaction."""
        records = [record for one in self._unwritten for record in one.records]
        consumed = {}
        for one in self._unwritten:
            state = one.standing.engine.state
            source = TopicPartition(COMMANDS, state.partition)
            consumed[source] = state.positions.get(source, 0)
        try:
            offsets = self._transactions.write(records, consumed, member())
        except Disowned:
            self._disown()
            raise
        at = 0
        for one in self._unwritten:
            one.placed(offsets[at : at + len(one.records)])
            at += len(one.records)
        self._unwritten = []

    def _turned(self, made: Sequence[Made], idle: float) -> Turned:
        now = self._now()
        records = sum(span.following - span.begins for one in made for span in one.cut.spans)
        topics, waits = [record.topic for one in made for record in one.records], any(self._waiting.values())
        lag = dict.fromkeys(self._working(), 0) | {one.standing.engine.state.partition: now - one.cut.at for one in made}
        return Turned(records, topics.count(ALERTS), topics.count(RULE_COMMANDS), self._counts, lag, waits, idle)

    def save(self, least: int, seconds: float, clock: float) -> None:
        """Take a snapshot of the engines that have advanced `least` times since their last one, or that have advanced at all
        and took it `seconds` ago."""
        with self._lock:
            for standing in self._working().values():
                old = standing.since_saved and clock - standing.saved_at > seconds
                if not self._unwritten and (standing.since_saved >= least or old):
                    self._restorer.save(standing)
