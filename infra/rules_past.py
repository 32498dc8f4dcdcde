"""Back-tests and explanations: the past of the log, put before engines that can only read."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import cpu_count, get_context
from typing import NamedTuple, cast

import msgspec

from connectors.whole_log import WholeLog
from infra import compose
from infra.rules import Codecs
from infra.settings import Settings
from schemas import contract as contracts
from schemas.alert_messages import ALERTS
from schemas.log import TopicPartition
from schemas.messages import Event
from schemas.partitioner import partition_of
from schemas.rule_records import CUTS
from schemas.rules.document import Rule
from streams.rules.applied import applied
from streams.rules.backtest import SECOND, Past, backtest, made_up
from streams.rules.cuts import CERTIFICATES, COMMANDS, LOCAL, ORDER, TURNING, Cut, Span, in_order, inputs
from streams.rules.ports import Input, RuleFailed
from streams.rules.restore import cut_of
from streams.rules.rows import TOPICS
from streams.rules.summary import Difference, Summary, difference, live_events, summary
from streams.rules.why import Step, explain

WARM_MICROSECONDS = 3_600 * SECOND
"""Before the time in question, at least: what holds when it begins may have begun then."""


class BackTested(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would have done between two times (microseconds), and how that differs from what was live then."""

    begins: int
    ends: int
    summary: Summary
    difference: Difference


class PastLog:
    """Reads what is needed of the past. `close` it."""

    def __init__(self, settings: Settings) -> None:
        self.codecs = Codecs(settings)
        self.log: WholeLog = compose.whole_log(settings)
        self._bounds = self.log.bounds([*ORDER, CUTS, ALERTS])
        self._partitions = {topic: sum(source.topic == topic for source in self._bounds) for topic in ORDER}

    def close(self) -> None:
        self.log.close()

    def past(self, partition: int, rules: Sequence[Rule], begins: int, ends: int) -> Past:
        """The cuts that were made from `begins` to `ends`; made up before the first that ever was. What registration and
        silences were by then comes with the first."""
        recorded = list(self._recorded(partition, begins, ends))
        first = recorded[0] if recorded else None
        earlier = [] if first is not None and first.sequence > 1 else self._made_up(partition, rules, begins, ends, first)
        cuts = [*earlier, *recorded]
        return Past(partition, [self._known_before(partition, rules, begins, cuts), *cuts] if cuts else [])

    def _recorded(self, partition: int, begins: int, ends: int) -> Iterator[Cut]:
        source = TopicPartition(CUTS, partition)
        start = max(self._bounds[source][0], self.log.offset_at(source, begins // 1000))
        for batch in self.log.read(source, start, self._bounds[source][1]):
            for value in batch.values:
                advanced = self.codecs.cuts.decode(value)
                if advanced is not None and advanced.at < ends:
                    yield cut_of(advanced)

    def _made_up(self, partition: int, rules: Sequence[Rule], begins: int, ends: int, first: Cut | None) -> list[Cut]:
        """Of the records that came before the first cut, or of all if there is none."""
        taken = {} if first is None else {span.source: span.begins for span in first.spans}
        about = {rule.aggregate.of if rule.aggregate else rule.input for rule in rules}
        topics = {TOPICS[name] for name in about if name in TOPICS} | {COMMANDS}
        received = {
            source: self._received(source, begins, taken.get(source, self._bounds[source][1]))
            for source in inputs(partition, self._partitions)
            if source.topic in topics - {COMMANDS}
        }
        until = ends if first is None else min(ends, first.at)
        return made_up({source: records for source, records in received.items() if records}, begins, until)

    def _received(self, source: TopicPartition, begins: int, stop: int) -> list[tuple[int, int]]:
        start = max(self._bounds[source][0], self.log.offset_at(source, begins // 1000))
        decoder, found = self.codecs.readers().columns[source.topic], list[tuple[int, int]]()
        for batch in self.log.read(source, start, max(start, stop)):
            frame = decoder.decode(batch.values).frame
            offsets = [batch.offsets[index] for index in frame["index"].to_list()]
            found += [(o, r) for o, r in zip(offsets, frame["received_at"].to_list(), strict=True) if r >= begins]
        return found

    def _known_before(self, partition: int, rules: Sequence[Rule], at: int, cuts: Sequence[Cut]) -> Cut:
        """A cut in which an engine learns, no later than at the first one, what was known before that: who devices are, and
        what certificates they have."""
        topics = TURNING | {CERTIFICATES} if any(rule.input == "certificate" for rule in rules) else TURNING
        begins: dict[TopicPartition, int] = {}
        for cut in cuts:
            for span in cut.spans:
                begins.setdefault(span.source, span.begins)
        spans = []
        for source in inputs(partition, self._partitions):
            if source.topic in topics:
                low = self._bounds[source][0]
                until = begins.get(source)
                until = self.log.offset_at(source, cuts[0].at // 1000) if until is None else until
                spans.append(Span(source, low, max(low, until)))
        return Cut(0, min(at, cuts[0].at), in_order(spans))

    def alerts(self, partition: int, begins: int, ends: int) -> list[Event]:
        """What was written to a partition of fleet.alerts in a time."""
        source = TopicPartition(ALERTS, partition)
        start = max(self._bounds[source][0], self.log.offset_at(source, begins // 1000))
        found = []
        for batch in self.log.read(source, start, self._bounds[source][1]):
            messages = [self.codecs.alerts.decode(value) for value in batch.values]
            found += [m for m in messages if isinstance(m, Event) and begins <= m.received_at < ends]
        return found


def warm(rules: Sequence[Rule], codecs: Codecs) -> int:
    """How long before the time in question (microseconds) an engine must begin to know what it would have known."""
    longest = WARM_MICROSECONDS
    for event in applied(rules, {}, 0):
        compiled = codecs.compiled(event)
        timing, window = compiled.timing, compiled.counter.window if compiled.counter else 0
        longest = max(longest, 2 * window + timing.horizon + timing.hold + timing.keep_firing + 2 * timing.silent_after)
    return longest


def run_backtest(
    settings: Settings, rules: Sequence[Rule], between: tuple[int, int], versions: Mapping[str, int] | None = None
) -> BackTested:
    """What rules would have done from one time to another (microseconds).

    Raises:
        Away: the broker or the registry does not answer.
        RuleFailed: a rule can't be compiled, or fails on what was there.
    """
    begins, ends = between
    for rule in rules:
        if rule.aggregate is not None and TOPICS[cast(Input, rule.aggregate.of)] in LOCAL:
            about = f"an aggregate of {rule.aggregate.of}, which several partitions count"
            raise RuleFailed(f"rule {rule.id}: {about}, can't be back-tested: partitions are back-tested one by one")
    asked = [Asked(settings, tuple(rules), between, dict(versions or {}), partition) for partition in _homes()]
    with ProcessPoolExecutor(min(len(asked), cpu_count() or 1), get_context("spawn")) as pool:
        parts = list(pool.map(of_partition, asked))
    events, live = [event for part in parts for event in part[0]], [event for part in parts for event in part[1]]
    events.sort(key=lambda event: (event.received_at, event.occurred_at, event.event_id))
    return BackTested(begins=begins, ends=ends, summary=summary(events, ends), difference=difference(events, live))


class Asked(NamedTuple):
    """A back-test of one partition."""

    settings: Settings
    rules: tuple[Rule, ...]
    between: tuple[int, int]
    versions: dict[str, int]
    partition: int


def of_partition(asked: Asked) -> tuple[list[Event], list[Event]]:
    """What would have been, and what was live; in a process of its own."""
    settings, rules, (begins, ends), versions, partition = asked
    past = PastLog(settings)
    try:
        start = max(0, begins - warm(rules, past.codecs))
        shown = past.past(partition, rules, start, ends)
        played = backtest(applied(rules, versions, start), shown, asked.between, past.log, past.codecs.state)
        live = live_events(past.alerts(partition, begins, ends), [rule.id for rule in rules], begins, ends)
        return [one.event for one in played], live
    finally:
        past.close()


def _homes() -> range:
    return range(contracts.load().topics[COMMANDS].partitions)


def run_why(settings: Settings, rule: Rule, home: str, between: tuple[int, int], version: int = 1) -> list[Step]:
    """What a rule said of each row of a key, and what came of it, from one time of the engine's to another. Raises as
    `run_backtest`."""
    begins, ends = between
    past = PastLog(settings)
    try:
        partition = partition_of(home.encode(), len(_homes()))
        start = max(0, begins - warm([rule], past.codecs))
        shown = past.past(partition, [rule], start, ends)
        steps = explain(applied([rule], {rule.id: version}, start)[0], home, ends, shown, past.log, past.codecs.state)
        return [step for step in steps if step.clock >= begins]
    finally:
        past.close()
