"""Back-tests of rules about the fleet whose rows each partition counts for itself (docs/decisions/0026): first each
partition says what it would have counted, then the homes of the alerts are told of it.

Where the rule was live, a home hears of a count in the cut in which it heard of the same one then, so that what comes out is
what was live. Elsewhere there is a cut at the end of each bucket, by which partitions tell, and one when the rule is asked.
Pure, but for the reader of the log.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from schemas.log import Batch, TopicPartition
from schemas.messages import Event
from schemas.partitioner import partition_of
from schemas.rule_messages import RuleApplied, RuleDisabled, RuleSuspended
from schemas.rule_records import PartialAggregated
from schemas.rules.document import Rule, canonical
from streams.rules.backtest import Past, PastReader, advanced, begun
from streams.rules.counting import GRACE
from streams.rules.cuts import AGGREGATES, COMMANDS, LOCAL, Cut, Span, in_order
from streams.rules.state import State

FOREVER = 2**62
TOLD = LOCAL - {COMMANDS}
"""What a home need not read: it is told what others have counted."""


class Told(NamedTuple):
    """What a partition, `source`, has counted of a bucket: by its cut at `at`, for the partition `home`."""

    at: int
    source: int
    home: int
    event_id: str
    value: bytes


class Lived(NamedTuple):
    """The version under which a rule was live, and when: from `begins` until before `ends`, microseconds."""

    version: int
    times: Sequence[tuple[int, int]]


def lived(rule: Rule, events: Iterable[Event]) -> Lived:
    """What the events of fleet.rules, in the order of the log, say of a document."""
    document, version, times, since = canonical(rule).decode(), 1, list[tuple[int, int]](), -1
    for event in events:
        if (
            not isinstance(event, RuleApplied | RuleDisabled | RuleSuspended)
            or event.mode != "live"
            or event.rule_id != rule.id
        ):
            continue
        if since >= 0:
            times.append((since, event.occurred_at))
            since = -1
        if isinstance(event, RuleApplied) and event.document == document:
            if event.version != version:
                version, times = event.version, []
            since = event.occurred_at
    return Lived(version, [*times, (since, FOREVER)] if since >= 0 else times)


# --- cuts of a time in which the rule was not live --------------------------------------------------------------------


def ticks(length: int, between: tuple[int, int], live: Lived, after: int = 0) -> Iterator[int]:
    """The ends of the buckets (of `length`), each so long `after`, of a time in which a rule was not live."""
    begins, ends = between
    for at in range(-(-(begins - after) // length) * length + after, ends, length):
        if not any(since <= at < until for since, until in live.times):
            yield at


def with_ticks(past: Past, times: Iterable[int]) -> Past:
    """The cuts with others between them, and behind, in which nothing came; none before the first."""
    first = past.cuts[0].at if past.cuts else 0
    return past._replace(cuts=sorted([*past.cuts, *(Cut(0, at, ()) for at in times if at >= first)], key=_clock))


def _clock(cut: Cut) -> int:
    return cut.at


# --- counting ---------------------------------------------------------------------------------------------------------


class Counting(NamedTuple):
    """How a partition's counts are written; `partitions` are those of the alerts' topic."""

    encode: Callable[[PartialAggregated], bytes]
    partitions: int


def counted(
    rule: RuleApplied,
    past: Past,
    ends: int,
    reader: PastReader,
    make_state: Callable[[int], State],
    counting: Counting,
) -> list[Told]:
    """What a partition would have counted before the engine's time `ends`.

    Raises:
        RuleFailed: the rule can't be compiled, or fails on what was there.
    """
    engine, cuts = begun([rule], _without(past, {AGGREGATES}), make_state)
    found: list[Told] = []
    for cut, outcome in advanced(engine, cuts, ends, reader):
        for home, partial in outcome.partials:
            at_home = partition_of(home.encode(), counting.partitions)
            found.append(Told(cut.at, past.partition, at_home, partial.event_id, counting.encode(partial)))
    return found


def _without(past: Past, topics: Iterable[str]) -> Past:
    left_out = frozenset(topics)
    cuts = [cut._replace(spans=tuple(span for span in cut.spans if span.source.topic not in left_out)) for cut in past.cuts]
    return past._replace(cuts=cuts)


# --- hearing ----------------------------------------------------------------------------------------------------------


class Hearing:
    """A reader of the log by which a home hears of `told`, and of nothing that partitions have counted in truth."""

    def __init__(self, log: PastReader, source: TopicPartition, told: Sequence[Told]) -> None:
        self._log, self._source, self._told = log, source, told

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        if source != self._source:
            yield from self._log.read(source, start, stop)
            return
        values = [one.value for one in self._told[start:stop]]
        yield Batch(source, range(start, stop), [b""] * len(values), values, 0, start, stop)


def heard(
    past: Past, told: Iterable[Told], reader: PastReader, event_ids: Callable[[Sequence[bytes | None]], Sequence[str | None]]
) -> tuple[Past, Hearing]:
    """What a home's engine is shown. `event_ids` are those of records of fleet.rules.aggregates."""
    source = TopicPartition(AGGREGATES, past.partition)
    then = dict(_heard_then(past, source, reader, event_ids))
    clocks = [cut.at for cut in past.cuts]
    placed = []
    for number, one in enumerate(sorted(told, key=lambda one: (one.at, one.source))):
        index, offset = then.get(one.event_id, (bisect_right(clocks, one.at), -1))
        if index < len(clocks):
            placed.append((index, offset, number, one))
    placed.sort(key=lambda found: found[:3])
    spans: dict[int, Span] = {}
    for place, (index, *_) in enumerate(placed):
        begins = spans[index].begins if index in spans else place
        spans[index] = Span(source, begins, place + 1)
    cuts = [
        cut._replace(spans=in_order((*cut.spans, *((spans[index],) if index in spans else ()))))
        for index, cut in enumerate(_without(past, TOLD).cuts)
    ]
    return past._replace(cuts=cuts), Hearing(reader, source, [one for *_, one in placed])


def _heard_then(
    past: Past,
    source: TopicPartition,
    reader: PastReader,
    event_ids: Callable[[Sequence[bytes | None]], Sequence[str | None]],
) -> Iterator[tuple[str, tuple[int, int]]]:
    """The counts that the home heard of in truth: in which cut, and at which offset."""
    for index, cut in enumerate(past.cuts):
        for span in cut.spans:
            if span.source == source and span.following > span.begins:
                for batch in reader.read(*span):
                    for offset, event_id in zip(batch.offsets, event_ids(batch.values), strict=True):
                        if event_id is not None:
                            yield event_id, (index, offset)


def asked(length: int, between: tuple[int, int], live: Lived) -> Iterator[int]:
    """When the rule is asked of a time in which it was not live."""
    return ticks(length, between, live, GRACE)


def by_home(told: Iterable[Told]) -> Mapping[int, Sequence[Told]]:
    found: dict[int, list[Told]] = {}
    for one in told:
        found.setdefault(one.home, []).append(one)
    return found
