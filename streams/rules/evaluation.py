"""Compiled rules over frames: the work that several rules share is done once."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from streams.rules.carried import Windows
from streams.rules.compiled import CompiledMeasure, CompiledRule
from streams.rules.dtypes import DTYPES
from streams.rules.plan import Plan, Worked, of_part, where
from streams.rules.ports import AT, KEY, RECEIVED, Failed
from streams.rules.windows import Bools, Layout, late, layout

LateOf = Mapping[str, tuple[pl.Series | None, pl.Series | None]]


class Evaluated(NamedTuple):
    """What a rule says of each row of a frame.

    `raised` and `cleared` (Boolean) are null where that is unclear: what the expression needs is not there, or the row is
    `late` (Boolean): before one of the same device that was evaluated already. `value` (Float64) is what an alert shows,
    null where there is none; `group` (String) a JSON object of what alerts are grouped by, "" where by nothing. `failures`
    are what went wrong beyond that, such as too many iterations of a comprehension: reasons to suspend the rule.
    """

    raised: pl.Series
    cleared: pl.Series
    value: pl.Series
    group: pl.Series
    late: pl.Series
    failures: tuple[str, ...]


class RuleSet:
    """Rules of one input with the windows that they carry, in one partition. Not for several threads.

    What it says of a row depends on that row and those before it, not on how they fall into frames.
    """

    def __init__(self, rules: Sequence[CompiledRule], windows: Windows | None = None) -> None:
        self.rules = tuple(rules)
        self._plan = Plan(self.rules, [0] * len(self.rules))
        self.carry(windows or Windows())

    def carry(self, windows: Windows) -> None:
        """Go on with these windows, as far as a rule needs them."""
        windows.forget(self._plan.horizons(0), {_relevance(rule) for rule in self.rules})
        self.windows = windows

    def own_windows(self) -> Windows:
        """What these rules need of the windows, which may hold more."""
        own = Windows()
        own.series, own.newest = dict(self.windows.series), self.windows.newest
        own.forget(self._plan.horizons(0), {_relevance(rule) for rule in self.rules})
        return own

    def evaluate(self, frame: pl.DataFrame) -> list[Evaluated]:
        """Of each rule, in their order; takes the rows into the windows."""
        if frame.is_empty():
            return [_nothing() for _ in self.rules]
        return self._evaluated(frame, idle=False)

    def idle(self, key: str, at: int, known: Mapping[str, Any] | None = None) -> list[tuple[bool | None, bool | None]]:
        """Of each rule, whether it is raised and cleared at a time when nothing came of a key for longer than its horizon,
        or what is left of its windows says so. `known`: columns that hold something. Nothing is carried on."""
        values = {**(known or {}), KEY: key, AT: at, RECEIVED: at}
        schema: dict[str, Any] = {name: DTYPES.get(kind, pl.Null()) for name, kind in self._plan.columns.items()}
        schema |= {KEY: pl.String(), AT: pl.Int64(), RECEIVED: pl.Int64()}
        frame = pl.DataFrame({name: [values.get(name)] for name in schema}, schema=schema)
        return [(each.raised.item(), each.cleared.item()) for each in self._evaluated(frame, idle=True)]

    def _evaluated(self, frame: pl.DataFrame, idle: bool) -> list[Evaluated]:
        frame = fitted(frame, self._plan.columns)
        placed = layout(frame[KEY], frame[AT], frame[RECEIVED])
        late_of = {} if idle else self._late(frame, placed)
        worked = self._plan.work(frame, placed, [self.windows], idle)
        return [
            _one(rule, worked, self._plan.outputs[place], self._plan.failed(place, worked), frame, late_of)
            for place, rule in enumerate(self.rules)
        ]

    def _late(self, frame: pl.DataFrame, placed: Layout) -> LateOf:
        """For each set of relevant columns: the rows that say nothing, or are late; and those that are late."""
        found = {}
        for rule in self.rules:
            name = _relevance(rule)
            if name not in found:
                about = relevant(frame, rule)
                before = late(self.windows.newest.setdefault(name, {}), placed, about)
                out = before | ~about
                found[name] = (pl.Series(out) if out.any() else None, pl.Series(before) if before.any() else None)
        return found


def relevant(frame: pl.DataFrame, rule: CompiledRule) -> Bools:
    """Which rows say anything about a rule."""
    if not rule.relevant:
        return np.ones(frame.height, bool)
    found: Bools = np.any([frame[column].is_not_null().to_numpy() for column in rule.relevant], axis=0)
    return found


def fitted(frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """The frame with all columns that are asked for, of the types that expressions are for. A label that no device has, or a
    field of another record type of the topic, is a column that is not there."""
    schema = frame.schema
    wanted = {name: DTYPES.get(kind) for name, kind in columns.items()}
    missing = [pl.lit(None, dtype or pl.Null()).alias(name) for name, dtype in wanted.items() if name not in schema]
    others = [pl.col(name).cast(dtype) for name, dtype in wanted.items() if dtype and schema.get(name, dtype) != dtype]
    return frame.with_columns(*missing, *others) if missing or others else frame


def _relevance(rule: CompiledRule) -> str:
    return "|".join((rule.since, *rule.relevant))


def _one(
    rule: CompiledRule,
    worked: Worked,
    outputs: Sequence[str | None],
    failures: tuple[Failed, ...],
    frame: pl.DataFrame,
    late_of: LateOf,
) -> Evaluated:
    out, before = late_of.get(_relevance(rule), (None, None))
    raised, cleared, value = said(worked, outputs, None if out is None else ~out.to_numpy())
    return Evaluated(
        raised,
        cleared,
        value,
        groups(rule, frame),
        pl.Series([False]).new_from_index(0, frame.height) if before is None else before,
        tuple(dict.fromkeys(failed.why for failed in failures)),
    )


def said(worked: Worked, outputs: Sequence[str | None], there: Bools | None) -> tuple[pl.Series, pl.Series, pl.Series]:
    """When, clear and value of a rule; null where it is not `there`."""
    raised, cleared, value = (None if name is None else worked.columns[name] for name in outputs)
    assert raised is not None
    cleared = ~raised if cleared is None else cleared
    if value is None:
        value = pl.Series([None], dtype=pl.Float64).new_from_index(0, len(raised))
    if there is not None:
        raised, cleared, value = where(raised, there), where(cleared, there), where(value, there)
    return raised, cleared, value.cast(pl.Float64)


def groups(rule: CompiledRule, frame: pl.DataFrame) -> pl.Series:
    """The group of each row: a JSON object of what alerts are grouped by, "" where by nothing."""
    if not rule.group_by:
        return pl.Series([""]).new_from_index(0, frame.height)
    named = [pl.col(column).alias(name) for name, column in rule.group_by.items()]
    return frame.select(pl.struct(named).struct.json_encode()).to_series()


def measured(measure: CompiledMeasure, frame: pl.DataFrame) -> pl.Series:
    """What each row adds to a measure of an aggregate (Float64): null where it does not count."""
    amount = pl.Series([1.0]).new_from_index(0, frame.height) if measure.amount is None else of_part(frame, measure.amount)
    if measure.where is not None:
        amount = where(amount, of_part(frame, measure.where).fill_null(False).to_numpy())
    return amount.cast(pl.Float64)


def _nothing() -> Evaluated:
    flags = pl.Series([], dtype=pl.Boolean)
    return Evaluated(flags, flags, pl.Series([], dtype=pl.Float64), pl.Series([], dtype=pl.String), flags, ())
