"""What rows of an input add to the measures of a rule about the fleet. Columnar, and pure.

Time is cut into buckets: a sixtieth of the rule's window, a second at least. A row belongs to the bucket of its event time,
and becomes *visible* at the end of the first bucket that is not over for longer than `GRACE` when the row is received: so
what a window holds depends on rows and their times, and not on how they were read.
"""

from collections.abc import Collection, Iterator
from typing import cast

import polars as pl

from schemas.rules.inputs import METRIC_COLUMN, TOPICS
from streams.rules.compiled import CompiledRule
from streams.rules.cuts import LOCAL
from streams.rules.evaluation import fitted, groups, measured
from streams.rules.ports import AT, OFFSET, PARTITION, RECEIVED, Added, Input

SECOND = 1_000_000
GRACE = 2 * SECOND
"""How long after the end of a bucket its rows are waited for, microseconds."""
BUCKETS = 60
_CUT, _GROUP, _BUCKET, _VISIBLE = "_cut", "_group", "_bucket", "_visible"


class Counter:
    """Of one rule (streams.rules.ports.Counts)."""

    def __init__(self, rule: CompiledRule) -> None:
        aggregate = rule.rule.aggregate
        assert aggregate is not None
        self.rule, self.of = rule, cast(Input, aggregate.of)
        self.direct = TOPICS[self.of] not in LOCAL
        self.counts = tuple(measure.amount is None for measure in rule.measures.values())
        self.length = max(SECOND, aggregate.window_micros // BUCKETS)
        self.window = -(-aggregate.window_micros // self.length) * self.length
        self._columns = {name: kind for measure in rule.measures.values() for name, kind in measure.columns.items()}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.rule.measures)

    @property
    def metrics(self) -> Collection[str]:
        return tuple(name.removeprefix(METRIC_COLUMN) for name in self._columns if name.startswith(METRIC_COLUMN))

    def added(self, frame: pl.DataFrame, cuts: pl.Series) -> Iterator[Added]:
        grouped = dict.fromkeys(self.rule.group_by.values(), "string")
        whole = fitted(frame, {**self._columns, **grouped})
        amounts = [measured(measure, whole) for measure in self.rule.measures.values()]
        finite = [amount.set(~amount.is_finite().fill_null(False), None) for amount in amounts]
        named = [amount.alias(str(number)) for number, amount in enumerate(finite)]
        rows = whole.select(PARTITION, OFFSET, AT, RECEIVED).with_columns(
            cuts.alias(_CUT), groups(self.rule, whole).alias(_GROUP), *named
        )
        return self._by_bucket(rows.filter(pl.any_horizontal(pl.col(one.name).is_not_null() for one in named)))

    def _by_bucket(self, rows: pl.DataFrame) -> Iterator[Added]:
        length, grace = self.length, GRACE if self.direct else 0
        bucket = (pl.col(AT) // length) * length
        visible = pl.max_horizontal(((pl.col(RECEIVED) - grace) // length + 1) * length, bucket + length)
        keys = [_CUT, PARTITION, _GROUP, _BUCKET, _VISIBLE]
        amounts = [pl.col(str(number)).drop_nulls() for number in range(len(self.counts))]
        found = (
            rows.with_columns(bucket.alias(_BUCKET), visible.alias(_VISIBLE))
            .group_by(keys, maintain_order=True)
            .agg(pl.col(OFFSET).first(), *amounts)
        )
        for cut, source, group, begins, seen, offset, *values in found.iter_rows():
            yield Added(cut, source, offset, group, begins, seen, tuple(map(tuple, values)))
