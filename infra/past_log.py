"""What the log holds of a time of the past, as the rules' engines took it then."""

from collections.abc import Iterator, Sequence

from connectors.whole_log import WholeLog
from infra import compose
from infra.rules import Codecs
from infra.settings import Settings
from schemas.alert_messages import ALERTS
from schemas.log import TopicPartition
from schemas.messages import Event
from schemas.rule_records import CUTS
from schemas.rules.document import Rule
from streams.rules.applied import applied
from streams.rules.backtest import SECOND, Past, made_up
from streams.rules.cuts import CERTIFICATES, COMMANDS, ORDER, RULES, TURNING, Cut, Span, in_order, inputs
from streams.rules.restore import cut_of
from streams.rules.rows import TOPICS

WARM_MICROSECONDS = 3_600 * SECOND
"""Before the time in question, at least: what holds when it begins may have begun then."""


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

    def rule_events(self) -> list[Event]:
        """What became of rules, in the order of the log."""
        source = TopicPartition(RULES, 0)
        codec = self.codecs.messages(RULES)
        values = [value for batch in self.log.read(source, *self._bounds[source]) for value in batch.values]
        return [message for value in values if isinstance(message := codec.decode(value), Event)]

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
