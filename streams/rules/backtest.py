"""What rules would have done in a time of the past: the log of that time, read by the cuts of that time, through the engine
that runs live.

Nothing is known before its time: the inputs come in the order in which the engines took them then, and the engine's clock is
the one that they had. Of a time in which no engine ran the cuts are made up, one for each second of received_at. The
rules in question take the place of those that were in force; silences and what operators did count as they did then.

It is handed a reader of the log and nothing that writes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.log import Batch, TopicPartition
from schemas.messages import Event
from schemas.rule_messages import RuleApplied, SilenceCreated, SilenceEnded
from streams.rules.cuts import RULES, Cut, Span, in_order, runs
from streams.rules.engine import Engine
from streams.rules.ports import Moment, RuleFailed
from streams.rules.run import Outcome
from streams.rules.state import State

SECOND = 1_000_000
MOST_RECORDS = 400_000
"""Records that are processed in one piece."""


class PastReader(Protocol):
    """What a back-test needs of the log: to read it."""

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]: ...


class Played(NamedTuple):
    """An event of a back-test, and the partition that it is of."""

    partition: int
    event: Event


class Past(NamedTuple):
    """What a partition's engine is shown: cuts, of which the first may come long before the time in question, and up to
    where each input was taken before the first."""

    partition: int
    cuts: Sequence[Cut]


def backtest(
    rules: Sequence[RuleApplied],
    past: Past,
    between: tuple[int, int],
    reader: PastReader,
    make_state: Callable[[int], State],
) -> list[Played]:
    """The events of one partition with begins <= clock < ends (microseconds), in their order.

    `rules` are in force from the first cut on. `make_state` makes the state of an engine whose lifecycle has no effect
    beyond its events.

    Raises:
        RuleFailed: a rule can't be compiled, or fails on what was there.
    """
    begins, ends = between
    engine, cuts = begun(rules, past, make_state)
    found: list[Played] = []
    for cut, outcome in advanced(engine, cuts, ends, reader):
        if begins <= cut.at:
            found += [Played(past.partition, event) for _, event in outcome.alerts]
    return found


def advanced(engine: Engine, cuts: Sequence[Cut], ends: int, reader: PastReader) -> Iterator[tuple[Cut, Outcome]]:
    """The cuts before the engine's time `ends`, and what the engine makes of each.

    Raises:
        RuleFailed: a rule fails on what was there.
    """
    for run in runs([cut for cut in cuts if cut.at < ends], MOST_RECORDS):
        outcomes, _ = engine.advance(run, slices_of(run, reader, engine))
        for cut, outcome in zip(run, outcomes, strict=True):
            if outcome.commands:
                raise RuleFailed(f"rule {outcome.commands[0].rule_id}: {outcome.commands[0].detail}")
            yield cut, outcome


def begun(rules: Sequence[RuleApplied], past: Past, make_state: Callable[[int], State]) -> tuple[Engine, Sequence[Cut]]:
    """An engine with these rules in force, and the cuts as its first ones."""
    engine = Engine(make_state(past.partition))
    cuts = _numbered(past.cuts)
    _put_in_force(engine, rules, cuts[0].at if cuts else 0)
    return engine, cuts


def _put_in_force(engine: Engine, rules: Iterable[RuleApplied], clock: int) -> None:
    for event in rules:
        engine.state.lifecycle.rule(event, Moment(event.occurred_at, clock))
        if (fault := engine.state.apply(event)) is not None:
            raise RuleFailed(f"rule {event.rule_id}: {fault}")


def _numbered(cuts: Sequence[Cut]) -> list[Cut]:
    """The cuts as the first of an engine. What they took of fleet.rules is taken elsewhere (`slices_of`)."""
    return [cut._replace(sequence=number) for number, cut in enumerate(cuts, start=1)]


def slices_of(run: Sequence[Cut], reader: PastReader, engine: Engine) -> dict[TopicPartition, list[Batch]]:
    """What the cuts took; of the rules' topic only silences, as the rules are those in question."""
    spans: dict[TopicPartition, tuple[int, int]] = {}
    for cut in run:
        for span in cut.spans:
            begins, _ = spans.get(span.source, (span.begins, 0))
            spans[span.source] = begins, span.following
    wanted = {source: span for source, span in spans.items() if span[1] > span[0] and engine.state.reads(source.topic)}
    found = {source: list(reader.read(source, *span)) for source, span in wanted.items()}
    for source in [source for source in found if source.topic == RULES]:
        found[source] = [_silences(batch, engine) for batch in found[source]]
    return found


def _silences(batch: Batch, engine: Engine) -> Batch:
    codec = engine.state.readers.messages[RULES]
    kept = [
        place for place, value in enumerate(batch.values) if isinstance(codec.decode(value), SilenceCreated | SilenceEnded)
    ]
    return Batch(
        batch.source,
        [batch.offsets[place] for place in kept],
        [batch.keys[place] for place in kept],
        [batch.values[place] for place in kept],
        batch.epoch,
        batch.begins,
        batch.following,
    )


# --- cuts of a time in which no engine ran ----------------------------------------------------------------------------


class Timed(NamedTuple):
    """Where in a partition a second begins: no record with this offset or a later one was received before `at`."""

    source: TopicPartition
    offset: int
    at: int


def made_up(sources: Mapping[TopicPartition, Sequence[tuple[int, int]]], begins: int, ends: int) -> list[Cut]:
    """One cut for each second of the clock from `begins` to `ends` (microseconds) in which anything was received.

    `sources`: the offset and received_at of each record, in the order of the offsets. A record that is older than one before
    it in its partition comes with that one.
    """
    spans: dict[int, list[Span]] = {}
    for source, records in sorted(sources.items()):
        second, start = -1, -1
        for offset, received in records:
            belongs = max(second, (received - begins) // SECOND)
            if belongs != second:
                if start >= 0:
                    spans.setdefault(second, []).append(Span(source, start, offset))
                second, start = belongs, offset
        if start >= 0:
            spans.setdefault(second, []).append(Span(source, start, records[-1][0] + 1))
    last = (ends - begins - 1) // SECOND
    return [
        Cut(number, begins + (second + 1) * SECOND, in_order(spans[second]))
        for number, second in enumerate(sorted(second for second in spans if second <= last), start=1)
    ]
