"""Cuts: in which order the engine of a partition took what its topics held. Pure.

The log orders the records of a partition, and says nothing of two topics. So the engine writes down what it took: after a
cut everything below `positions` is processed, and between two cuts the slices in the order of `ORDER`, partition by
partition. Whoever has the inputs and the cuts has the alerts (docs/decisions/0023).
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from schemas.log import TopicPartition

RULES = "fleet.rules"
REGISTRATION = "fleet.registration.events"
CERTIFICATES = "fleet.certificates"
COMMANDS = "fleet.alerts.commands"
HEARTBEATS = "fleet.heartbeats"
EVENTS = "fleet.device-events"
TELEMETRY = "fleet.telemetry"
SYSTEM = "fleet.system"
AGGREGATES = "fleet.rules.aggregates"
CUTS = "fleet.rules.cuts"
ALERTS = "fleet.alerts"

ORDER = (RULES, REGISTRATION, CERTIFICATES, COMMANDS, HEARTBEATS, EVENTS, TELEMETRY, SYSTEM, AGGREGATES)
"""In which order the slices of one cut are processed. A change is a change of what the log means: raise engine.REVISION."""

RANK = {topic: rank for rank, topic in enumerate(ORDER)}
LOCAL = frozenset((COMMANDS, HEARTBEATS, EVENTS, TELEMETRY, AGGREGATES))
"""Topics of which an engine reads its own partition; of the others it reads all."""

PACED = (HEARTBEATS, EVENTS, TELEMETRY)
"""Topics of which an engine must have read all before its clock shows the time of day."""

PATIENT = frozenset((REGISTRATION, CERTIFICATES))
"""Topics whose records may wait a little for others before an engine goes on: no device's alert waits for them."""

TURNING = frozenset((RULES, REGISTRATION))
"""Topics whose records change what later records mean: how they are evaluated, or whom a device is."""


class Span(NamedTuple):
    """The offsets [begins, following) of a partition."""

    source: TopicPartition
    begins: int
    following: int


class Cut(NamedTuple):
    """A step of one engine. `at`: its clock, microseconds since 1970 UTC, never less than at the cut before. `spans`: what
    was taken since then, of the partitions of which anything was."""

    sequence: int
    at: int
    spans: tuple[Span, ...]


class BrokenCuts(Exception):
    """Cuts do not follow each other: the log does not hold what it must."""


def inputs(partition: int, partitions: Mapping[str, int]) -> list[TopicPartition]:
    """What the engine of a partition reads; `partitions` says how many each topic has."""
    return [
        TopicPartition(topic, number)
        for topic in ORDER
        if topic in partitions
        for number in ([partition] if topic in LOCAL else range(partitions[topic]))
    ]


def in_order(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans of a cut as they are processed."""
    return tuple(sorted(spans, key=lambda span: (RANK[span.source.topic], span.source.partition)))


def check_follows(cut: Cut, sequence: int, at: int, positions: Mapping[TopicPartition, int]) -> None:
    """
    Raises:
        BrokenCuts: `cut` does not go on where the one before has ended.
    """
    if cut.sequence != sequence + 1 or cut.at < at:
        raise BrokenCuts(f"cut {cut.sequence} at {cut.at} does not follow cut {sequence} at {at}")
    for span in cut.spans:
        stood = positions.get(span.source)
        if stood is not None and span.begins != stood:
            raise BrokenCuts(f"cut {cut.sequence} goes on at {span.begins} of {span.source}, where {stood} was reached")
        if span.following < span.begins:
            raise BrokenCuts(f"cut {cut.sequence} takes {span.source} backwards, from {span.begins} to {span.following}")


class Layout:
    """To which of some consecutive cuts an offset belongs."""

    def __init__(self, cuts: Sequence[Cut]) -> None:
        self.cuts = len(cuts)
        self._ends: dict[TopicPartition, tuple[list[int], list[int]]] = {}
        for index, cut in enumerate(cuts):
            for span in cut.spans:
                ends, of = self._ends.setdefault(span.source, ([], []))
                ends.append(span.following)
                of.append(index)

    def ends(self, source: TopicPartition) -> tuple[list[int], list[int]]:
        """The offsets behind the slices of a partition, and the cut of each; both ascend."""
        return self._ends.get(source, ([], []))

    def cut_of(self, source: TopicPartition, offset: int) -> int:
        """The index of the cut that took a record."""
        ends, of = self.ends(source)
        return of[bisect_right(ends, offset)]


def runs(cuts: Sequence[Cut], most: int) -> list[Sequence[Cut]]:
    """Cuts in runs that can be evaluated in one piece: `most` records at most where that can be, and nothing in them turns
    what follows, but for the first cut of each."""
    found: list[Sequence[Cut]] = []
    start, records = 0, 0
    for index, cut in enumerate(cuts):
        size = sum(span.following - span.begins for span in cut.spans)
        turns = any(span.source.topic in TURNING for span in cut.spans)
        if index > start and (turns or records + size > most):
            found.append(cuts[start:index])
            start, records = index, 0
        records += size
    if cuts[start:]:
        found.append(cuts[start:])
    return found
