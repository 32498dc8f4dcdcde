"""Back-tests and explanations: the past of the log, put before engines that can only read."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import cpu_count, get_context
from typing import NamedTuple

import msgspec

from infra.past_log import PastLog, warm
from infra.rules_counted import counted_by_partitions, of_fleet
from infra.settings import Settings
from schemas import contract as contracts
from schemas.messages import Event
from schemas.partitioner import partition_of
from schemas.rules.document import Rule
from streams.rules.applied import applied
from streams.rules.backtest import backtest
from streams.rules.cuts import COMMANDS
from streams.rules.summary import Difference, Summary, difference, live_events, summary
from streams.rules.why import Step, explain


class BackTested(msgspec.Struct, frozen=True, kw_only=True):
    """What rules would have done between two times (microseconds), and how that differs from what was live then."""

    begins: int
    ends: int
    summary: Summary
    difference: Difference


def run_backtest(
    settings: Settings, rules: Sequence[Rule], between: tuple[int, int], versions: Mapping[str, int] | None = None
) -> BackTested:
    """What rules would have done from one time to another (microseconds).

    Raises:
        Away: the broker or the registry does not answer.
        RuleFailed: a rule can't be compiled, or fails on what was there.
    """
    begins, ends = between
    own = tuple(rule for rule in rules if not counted_by_partitions(rule))
    asked = [Asked(settings, own, between, dict(versions or {}), partition) for partition in _homes()]
    with ProcessPoolExecutor(min(len(asked), cpu_count() or 1), get_context("spawn")) as pool:
        parts = list(pool.map(of_partition, asked)) if own else []
        for rule in rules:
            if counted_by_partitions(rule):
                parts += of_fleet(settings, rule, between, len(asked), pool.map)
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
