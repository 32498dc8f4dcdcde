"""All that the engine of a partition holds between two runs, and how it becomes a snapshot and back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from uuid import UUID, uuid5

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.log import TopicPartition
from schemas.messages import Event
from schemas.partitioner import partition_of
from schemas.rule_messages import RuleApplied, RuleDisabled, RuleSuspended, SuspendRule
from streams.rules.active import Active, Slot
from streams.rules.certificates import Certificates
from streams.rules.clock import Timer, Timers
from streams.rules.cuts import LOCAL, ORDER, TURNING, Cut, check_follows
from streams.rules.facts import Fleet
from streams.rules.intake import Intake
from streams.rules.ports import KEY, Evaluator, Input, Lifecycle, Place, RuleFailed
from streams.rules.reading import Readers, Slices, of_topic
from streams.rules.rows import INPUTS, TOPICS, decoded
from streams.rules.sharing import Sharing
from streams.rules.subjects import Subjects

NAMESPACE = UUID("6f8f6c0e-6a51-4c5f-9b43-6d0c9e7d1f27")
"""Of the ids that engines derive."""
KEYS_REMEMBERED = 200_000

Compile = Callable[[RuleApplied], Evaluator]
"""Makes a rule ready. Raises RuleFailed: it can't be evaluated."""


class _Kept(msgspec.Struct, array_like=True):
    sequence: int
    at: int
    positions: list[tuple[str, int, int]]
    rules: list[tuple[RuleApplied, bytes]]
    subjects: dict[str, bytes]
    fleet: bytes
    timers: list[Timer]
    lifecycle: bytes
    certificates: bytes


class State:
    """`partition` of `partitions`: whose home this is."""

    def __init__(
        self, partition: int, partitions: int, readers: Readers, compile_rule: Compile, lifecycle: Lifecycle
    ) -> None:
        self.partition, self.readers, self.lifecycle = partition, readers, lifecycle
        self.sequence, self.at = 0, 0
        self.positions: dict[TopicPartition, int] = {}
        self.active: dict[Slot, Active] = {}
        self.fleet, self.timers, self.certificates = Fleet(), Timers(), Certificates()
        self._applied: dict[Slot, RuleApplied] = {}
        self._subjects: dict[str, Subjects] = {}
        self._sharing: dict[str, Sharing] = {}
        self._compile = compile_rule
        self._home = lru_cache(KEYS_REMEMBERED)(partial(_home, partitions))

    def home_of(self, key: str) -> int:
        """The partition where the alerts of a home key are decided."""
        return self._home(key)

    def is_home(self, key: str) -> bool:
        return self._home(key) == self.partition

    def check_and_move(self, cut: Cut) -> None:
        check_follows(cut, self.sequence, self.at, self.positions)
        self.sequence, self.at = cut.sequence, cut.at
        for span in cut.spans:
            self.positions[span.source] = span.following

    def reads(self, topic: str) -> bool:
        """Whether the records of a topic change anything, with the rules that are in force."""
        name = INPUTS.get(topic)
        about = {one.evaluator.input for one in self.active.values()} | {
            one.counter.of for one in self.active.values() if one.counter is not None
        }
        return name is None or topic in TURNING or name in about

    def subjects(self, name: Input) -> Subjects:
        return self._subjects.setdefault(name, Subjects())

    def sharing(self, name: Input) -> Sharing:
        """What evaluates the rules of an input."""
        return self._sharing.setdefault(name, Sharing())

    def active_of(self, slot: str) -> Active | None:
        rule_id, _, mode = slot.rpartition(" ")
        return self.active.get(Slot(rule_id, mode))  # type: ignore[arg-type]  # a slot's own text

    # --- rules --------------------------------------------------------------------------------------------------------

    def rule_ends(self, event: Event) -> Active | None:
        """The rule that is not in force any more, or not in this version, after an event of fleet.rules."""
        if not isinstance(event, RuleApplied | RuleDisabled | RuleSuspended):
            return None
        slot = Slot(event.rule_id, event.mode)
        self._applied.pop(slot, None)
        return self.active.pop(slot, None)

    def apply(self, event: RuleApplied) -> str | None:
        """Put a rule in force; why that can't be, if it can't."""
        slot = Slot(event.rule_id, event.mode)
        try:
            evaluator = self._compile(event)
        except RuleFailed as failed:
            return str(failed)
        self.active[slot] = active = Active(slot, evaluator)
        for key, held in self.certificates.held.items():
            self.time(active, key, held.end)
        self._applied[slot] = event
        return None

    def time(self, active: Active, key: str, end: int, after: int = 0) -> None:
        """The rule is asked again about a key as the end of its certificate comes nearer: when "less than so long" has just
        begun to hold, and that is later than `after`."""
        for term in active.evaluator.terms:
            if (due := end - term + 1) > after:
                self.timers.put(Timer(due, "term", str(active.slot), key))

    def suspension(self, slot: Slot, version: int, detail: str, place: Place, clock: int) -> SuspendRule:
        """The command by which the engine asks that a rule be asked no more."""
        name = f"suspend/{slot}/{version}/{place.topic}/{place.partition}/{place.offset}/{self.partition}"
        identity = str(uuid5(NAMESPACE, name))
        return SuspendRule(
            command_id=identity,
            correlation_id=identity,
            actor="engine",
            issued_at=clock,
            rule_id=slot.rule_id,
            version=version,
            mode=slot.mode,
            reason="failing",
            detail=detail[:1000],
        )

    # --- rows ---------------------------------------------------------------------------------------------------------

    def rows(self, slices: Slices) -> Iterator[tuple[Input, pl.DataFrame, int]]:
        """The rows of each input that a rule is about, in the order of the topics; and how many records can't be read. They
        are all that the slices hold: of many topics more than what is at home (`at_home`)."""
        wanted: dict[Input, set[str]] = {"certificate": set()}
        for active in self.active.values():
            wanted.setdefault(active.evaluator.input, set()).update(active.evaluator.metrics)
            if active.counter is not None:
                wanted.setdefault(active.counter.of, set()).update(active.counter.metrics)
        for topic in ORDER:
            name = INPUTS.get(topic)
            if name is None or name not in wanted:
                continue
            read = decoded(self.readers.columns[topic], of_topic(slices, topic), wanted[name])
            yield name, read.frame, read.unreadable

    def at_home(self, name: Input, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows whose alerts are decided here."""
        if TOPICS[name] in LOCAL or frame.is_empty():
            return frame
        keys = [key for key in frame[KEY].unique().to_list() if self.is_home(key)]
        return frame.filter(pl.col(KEY).is_in(keys))

    def scope(self, active: Active, intake: Intake) -> npt.NDArray[np.bool_]:
        """Which rows are of devices that the rule is about."""
        if active.evaluator.everywhere:
            return np.ones(len(intake), np.bool_)
        inside = self.in_scope(active, intake.present)
        if len(inside) == len(intake.present):
            return np.ones(len(intake), np.bool_)
        found: npt.NDArray[np.bool_] = intake.frame[KEY].is_in(inside).to_numpy()
        return found

    def in_scope(self, active: Active, keys: Iterable[str]) -> list[str]:
        """The devices that a rule is about."""
        facts = ((key, self.fleet.of(key)) for key in keys)
        return [key for key, known in facts if active.evaluator.about(key, known.model, known.labels)]

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(
            _Kept(
                self.sequence,
                self.at,
                sorted((*source, offset) for source, offset in self.positions.items()),
                [(event, self.active[slot].snapshot()) for slot, event in sorted(self._applied.items())],
                {name: subjects.snapshot() for name, subjects in sorted(self._subjects.items())},
                self.fleet.snapshot(),
                self.timers.kept(),
                self.lifecycle.snapshot(),
                self.certificates.snapshot(),
            )
        )

    def restore(self, data: bytes) -> None:
        """
        Raises:
            msgspec.DecodeError: it is no snapshot of this revision.
            RuleFailed: a rule that was in force can't be compiled any more.
        """
        kept = msgspec.msgpack.decode(data, type=_Kept)
        self.sequence, self.at = kept.sequence, kept.at
        self.positions = {TopicPartition(topic, number): offset for topic, number, offset in kept.positions}
        for event, active in kept.rules:
            if (fault := self.apply(event)) is not None:
                raise RuleFailed(fault)
            self.active[Slot(event.rule_id, event.mode)].restore(active)
        for name, subjects in kept.subjects.items():
            self._subjects.setdefault(name, Subjects()).restore(subjects)
        self.fleet.restore(kept.fleet)
        self.timers = Timers(kept.timers)
        self.lifecycle.restore(kept.lifecycle)
        self.certificates.restore(kept.certificates)


def _home(partitions: int, key: str) -> int:
    return partition_of(key.encode(), partitions)


def ordered(active: Sequence[Active]) -> list[Active]:
    """Rules in the order in which they are asked."""
    return sorted(active, key=lambda one: one.slot)
