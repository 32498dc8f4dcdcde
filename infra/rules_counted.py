"""Back-tests of rules about the fleet whose rows each partition counts for itself: all partitions count, then the homes of
the alerts hear of it, each in a process of its own."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

from infra.past_log import PastLog, warm
from infra.settings import Settings
from schemas.messages import Event
from schemas.rule_messages import RuleApplied
from schemas.rules.document import Rule
from streams.rules.applied import applied
from streams.rules.backtest import Past, backtest
from streams.rules.counted import Counting, Lived, Told, asked, by_home, counted, heard, lived, ticks, with_ticks
from streams.rules.cuts import AGGREGATES, LOCAL
from streams.rules.ports import Input
from streams.rules.rows import TOPICS
from streams.rules.summary import live_events

Part = tuple[list[Event], list[Event]]
"""What would have been, and what was live."""
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


def counted_by_partitions(rule: Rule) -> bool:
    """Whether a rule is about the fleet, and each partition counts its own rows for it."""
    return rule.aggregate is not None and TOPICS[cast(Input, rule.aggregate.of)] in LOCAL


class CountAsked(NamedTuple):
    """What one partition is asked, or told."""

    settings: Settings
    rule: Rule
    between: tuple[int, int]
    partition: int
    partitions: int
    told: Sequence[Told] = ()


def of_fleet(settings: Settings, rule: Rule, between: tuple[int, int], partitions: int, run: Map) -> list[Part]:
    """The back-test of one rule; `run` maps over partitions. Raises as `infra.rules_past.run_backtest`."""
    questions = [CountAsked(settings, rule, between, partition, partitions) for partition in range(partitions)]
    counts = list(run(of_counting, questions))
    homes = by_home(one for told, _ in counts for one in told)
    hearing = [questions[home]._replace(told=told) for home, told in sorted(homes.items())]
    return [*(([], live) for _, live in counts), *((events, []) for events in run(of_hearing, hearing))]


def of_counting(question: CountAsked) -> tuple[list[Told], list[Event]]:
    """What a partition would have counted, and its alerts that were live."""
    past, (begins, ends) = PastLog(question.settings), question.between
    try:
        made, shown, live, length = _shown(past, question)
        cuts = with_ticks(shown, ticks(length, (shown.cuts[0].at, ends), live)) if shown.cuts else shown
        counting = Counting(past.codecs.aggregates.encode, question.partitions)
        told = counted(made, cuts, ends, past.log, past.codecs.state, counting)
        return told, live_events(past.alerts(question.partition, begins, ends), [question.rule.id], begins, ends)
    finally:
        past.close()


def of_hearing(question: CountAsked) -> list[Event]:
    """What would have become of the alerts that are at home in a partition."""
    past, (_, ends) = PastLog(question.settings), question.between
    try:
        made, shown, live, length = _shown(past, question)
        first = shown.cuts[0].at if shown.cuts else question.told[0].at
        cuts, reader = heard(
            with_ticks(shown, asked(length, (first, ends), live)), question.told, past.log, lambda v: _event_ids(past, v)
        )
        played = backtest([made], cuts, question.between, reader, past.codecs.state)
        return [one.event for one in played]
    finally:
        past.close()


def _shown(past: PastLog, question: CountAsked) -> tuple[RuleApplied, Past, Lived, int]:
    """The rule under the version that it had, the cuts of a partition, when it was live, and the length of its buckets."""
    rule, (begins, ends) = question.rule, question.between
    live = lived(rule, past.rule_events())
    start = max(0, begins - warm([rule], past.codecs))
    (made,) = applied([rule], {rule.id: live.version}, start)
    counter = past.codecs.compiled(made).counter
    assert counter is not None
    return made, past.past(question.partition, [rule], start, ends), live, counter.length


def _event_ids(past: PastLog, values: Sequence[bytes | None]) -> list[str | None]:
    rows = dict(past.codecs.readers().columns[AGGREGATES].rows(values).rows)
    return [rows[index]["event_id"] if index in rows else None for index in range(len(values))]
