"""A run of cuts in work: what is to be looked at, and what came of it."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple

from schemas.messages import Event
from schemas.rule_messages import SuspendRule
from schemas.rule_records import PartialAggregated
from streams.rules.active import Active, Slot, Verdict
from streams.rules.cuts import Cut
from streams.rules.intake import Intake, Rank
from streams.rules.ports import Added, Input


class Outcome(NamedTuple):
    """What one cut led to: events of alerts, each with its home key; commands to the decider of rules; and what was counted
    here for rules about the fleet, with the home key of their alerts."""

    alerts: tuple[tuple[str, Event], ...]
    commands: tuple[SuspendRule, ...]
    partials: tuple[tuple[str, PartialAggregated], ...] = ()


class Spent(NamedTuple):
    """Seconds of processor time that a rule alone took for so many rows."""

    seconds: float
    rows: int


@dataclass(slots=True)
class Counts:
    """Rows that were evaluated (once for each rule), that came late, that had no verdict; uploads that came again; records
    that could not be read."""

    evaluated: int = 0
    late: int = 0
    unclear: int = 0
    again: int = 0
    unreadable: int = 0

    def plus(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


class Asked(NamedTuple):
    """What a rule about the fleet said of a group: cut, home key, event time, verdict and value."""

    cut: int
    slot: Slot
    key: str
    at: int
    code: int
    value: float | None


class Entry(NamedTuple):
    """Something to be looked at; the first four fields are the order. `order`: a silence that a row ends comes before the
    row itself. `row` is one of `active`'s input; `what` is an operator's command, or what a rule about the fleet counts."""

    rank: Rank
    order: int
    slot: tuple[str, str]
    number: int
    kind: Literal["row", "gap", "command", "count", "partial", "term"]
    row: int
    active: Active | None
    what: Any = None


@dataclass(slots=True)
class Run:
    """The events and commands are by the index of their cut."""

    cuts: Sequence[Cut]
    intakes: dict[Input, Intake] = field(default_factory=dict)
    verdicts: dict[Slot, Verdict] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    alerts: list[list[tuple[str, Event]]] = field(default_factory=list)
    commands: list[list[SuspendRule]] = field(default_factory=list)
    partials: list[list[tuple[str, PartialAggregated]]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    spent: dict[Slot, Spent] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    _numbers: int = 0

    def __post_init__(self) -> None:
        self.alerts = [[] for _ in self.cuts]
        self.commands = [[] for _ in self.cuts]
        self.partials = [[] for _ in self.cuts]

    def put(self, kind: Literal["row", "gap", "term"], active: Active, intake: Intake, row: int) -> None:
        """A row to be looked at for a rule."""
        self._numbers += 1
        order = 0 if kind == "gap" else 1
        heapq.heappush(self.entries, Entry(intake.rank(row), order, active.slot, self._numbers, kind, row, active))

    def put_command(self, rank: Rank, what: Any) -> None:
        self._numbers += 1
        heapq.heappush(self.entries, Entry(rank, 0, ("", ""), self._numbers, "command", -1, None, what))

    def put_count(self, rank: Rank, active: Active, added: Added) -> None:
        """What rows add to a rule about the fleet."""
        self._numbers += 1
        heapq.heappush(self.entries, Entry(rank, 0, active.slot, self._numbers, "count", -1, active, added))

    def put_partial(self, rank: Rank, record: Mapping[str, Any]) -> None:
        """What another partition, or this one, has counted (PartialAggregated)."""
        self._numbers += 1
        heapq.heappush(self.entries, Entry(rank, 0, ("", ""), self._numbers, "partial", -1, None, record))

    def next_cut(self) -> int | None:
        """The cut of the next entry."""
        return self.entries[0].rank[0] if self.entries else None

    def outcomes(self) -> list[Outcome]:
        parts = zip(self.alerts, self.commands, self.partials, strict=True)
        return [Outcome(tuple(alerts), tuple(commands), tuple(partials)) for alerts, commands, partials in parts]
