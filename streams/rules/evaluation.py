"""Compiled rules over frames: the work that several rules share is done once."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from schemas.rules import dialect
from schemas.rules.expression import Call
from streams.rules.compiled import CompiledMeasure, CompiledRule, Part
from streams.rules.distance import metres
from streams.rules.dtypes import DTYPES
from streams.rules.ports import AT, KEY, RECEIVED
from streams.rules.windows import Asked, Bools, Floats, Layout, Windows, compute, keep, late, layout


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
        self._horizons: dict[str, int] = {}
        for rule in self.rules:
            for call in rule.calls.values():
                if call.function not in NOT_CARRIED:
                    series = _series(rule.since, call)
                    self._horizons[series] = max(self._horizons.get(series, 0), call.span)
        self.carry(windows or Windows())

    def carry(self, windows: Windows) -> None:
        """Go on with these windows, as far as a rule needs them."""
        windows.forget(self._horizons, {_relevance(rule) for rule in self.rules})
        self.windows = windows

    def evaluate(self, frame: pl.DataFrame) -> list[Evaluated]:
        """Of each rule, in their order; takes the rows into the windows."""
        if frame.is_empty():
            return [_nothing() for _ in self.rules]
        return self._evaluated(frame, idle=False)

    def idle(self, key: str, at: int, known: Mapping[str, Any] | None = None) -> list[tuple[bool | None, bool | None]]:
        """Of each rule, whether it is raised and cleared at a time when nothing came of a key for longer than its horizon,
        or what is left of its windows says so. `known`: columns that hold something. Nothing is carried on."""
        columns = {name: kind for rule in self.rules for name, kind in rule.columns.items()}
        values = {**(known or {}), KEY: key, AT: at, RECEIVED: at}
        schema: dict[str, Any] = {name: DTYPES.get(kind, pl.Null()) for name, kind in columns.items()}
        schema |= {KEY: pl.String(), AT: pl.Int64(), RECEIVED: pl.Int64()}
        frame = pl.DataFrame({name: [values.get(name)] for name in schema}, schema=schema)
        return [(each.raised.item(), each.cleared.item()) for each in self._evaluated(frame, idle=True)]

    def _evaluated(self, frame: pl.DataFrame, idle: bool) -> list[Evaluated]:
        frame = fitted(frame, {name: kind for rule in self.rules for name, kind in rule.columns.items()})
        placed = layout(frame[KEY], frame[AT], frame[RECEIVED])
        late_of = {} if idle else self._late(frame, placed)
        found: list[Evaluated] = [_nothing()] * len(self.rules)
        for since in dict.fromkeys(rule.since for rule in self.rules):
            those = {place: rule for place, rule in enumerate(self.rules) if rule.since == since}
            called = self._call_columns(frame, placed, list(those.values()), idle)
            whole = frame.with_columns(called) if called else frame
            columns, failures = _columns(whole, those)
            for place, rule in those.items():
                unclear, before = late_of.get(_relevance(rule), (None, None))
                found[place] = _one(rule, columns[place], failures[place], whole, (unclear, before))
        return found

    def _late(self, frame: pl.DataFrame, placed: Layout) -> dict[str, tuple[pl.Series | None, pl.Series | None]]:
        """For each set of relevant columns: the rows that say nothing, or are late; and those that are late."""
        found = {}
        for rule in self.rules:
            name = _relevance(rule)
            if name not in found:
                relevant = np.ones(frame.height, bool)
                if rule.relevant:
                    relevant = np.any([frame[column].is_not_null().to_numpy() for column in rule.relevant], axis=0)
                before = late(self.windows.newest.setdefault(name, {}), placed, relevant)
                out = before | ~relevant
                found[name] = (pl.Series(out) if out.any() else None, pl.Series(before) if before.any() else None)
        return found

    def _call_columns(
        self, frame: pl.DataFrame, placed: Layout, rules: Sequence[CompiledRule], idle: bool
    ) -> list[pl.Series]:
        """What is over windows, and the other calls, as columns by their names."""
        columns: list[pl.Series] = []
        by_series: dict[str, list[tuple[str, Call]]] = {}
        arguments = {name: parts for rule in rules for name, parts in rule.arguments.items()}
        for name, call in {name: call for rule in rules for name, call in rule.calls.items()}.items():
            if call.function == dialect.ABSENT_FOR:
                columns.append(pl.Series(name, [idle]).new_from_index(0, frame.height))
            elif call.function == dialect.DISTANCE:
                columns.append(metres(*(_numbers(frame, part) for part in arguments[name])).alias(name))
            else:
                by_series.setdefault(_series(rules[0].since, call), []).append((name, call))
        for series, asked in by_series.items():
            values, valid = _readings(frame, arguments[asked[0][0]])
            kept = self.windows.series.setdefault(series, {})
            wanted = {Asked(call.function, call.span): name for name, call in asked}
            results, merged = compute(kept, placed, values, valid & (not idle), wanted)
            for one, (result, there) in results.items():
                column = pl.Series(wanted[one], result)
                columns.append(column if there.all() else _where(column, there))
            if not idle:
                keep(kept, placed, merged, valid, self._horizons[series])
        return columns


def fitted(frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """The frame with all columns that are asked for, of the types that expressions are for. A label that no device has, or a
    field of another record type of the topic, is a column that is not there."""
    schema = frame.schema
    wanted = {name: DTYPES.get(kind) for name, kind in columns.items()}
    missing = [pl.lit(None, dtype or pl.Null()).alias(name) for name, dtype in wanted.items() if name not in schema]
    others = [pl.col(name).cast(dtype) for name, dtype in wanted.items() if dtype and schema.get(name, dtype) != dtype]
    return frame.with_columns(*missing, *others) if missing or others else frame


NOT_CARRIED = (dialect.DISTANCE, dialect.ABSENT_FOR)


def _series(since: str, call: Call) -> str:
    """The name of the series that a call is over: one for every function and span over the same expression. That of counts
    of a condition has another name, as readings of 0 are none of it."""
    about = "/".join(argument.digest + ("?" if argument.kind == "bool" else "") for argument in call.arguments)
    return f"{since}|{about}"


def _relevance(rule: CompiledRule) -> str:
    return "|".join((rule.since, *rule.relevant))


def _where(column: pl.Series, there: Bools) -> pl.Series:
    return column.zip_with(pl.Series(there), pl.Series([None], dtype=column.dtype).new_from_index(0, len(column)))


def _part(frame: pl.DataFrame, part: Part) -> pl.Series:
    if part.expr is None:
        return part.single.column(frame)[0]
    found = frame.select(part.expr.alias("_")).to_series()
    return found if len(found) == frame.height else found.new_from_index(0, frame.height)


def _numbers(frame: pl.DataFrame, part: Part) -> Floats:
    """Doubles, NaN where there is none."""
    return _part(frame, part).cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _readings(frame: pl.DataFrame, parts: Sequence[Part]) -> tuple[Floats, Bools]:
    """The readings of a series: where a condition holds, where a number is there, or every row."""
    if not parts:
        return np.ones(frame.height), np.ones(frame.height, bool)
    found = _part(frame, parts[0])
    if found.dtype == pl.Boolean:
        return np.ones(frame.height), found.fill_null(False).to_numpy()
    return found.cast(pl.Float64).fill_null(0.0).to_numpy(), found.is_not_null().to_numpy()


def _columns(
    frame: pl.DataFrame, rules: Mapping[int, CompiledRule]
) -> tuple[dict[int, list[pl.Series | None]], dict[int, tuple[str, ...]]]:
    """When, clear and value of each rule. All that is columnar is evaluated in one go: polars shares what is alike."""
    exprs, singles = dict[str, pl.Expr](), dict[str, Part]()
    names: dict[int, list[str | None]] = {}
    for place, rule in rules.items():
        names[place] = [
            None if part is None else f"{part.expression.kind}:{part.expression.digest}"
            for part in (rule.when, rule.clear, rule.value)
        ]
        for name, part in zip(names[place], (rule.when, rule.clear, rule.value), strict=True):
            if part is not None and name is not None:
                if part.expr is not None:
                    exprs[name] = part.expr
                else:
                    singles[name] = part
    found = (
        {series.name: series for series in frame.select(expr.alias(name) for name, expr in exprs.items())} if exprs else {}
    )
    found = {name: one if len(one) == frame.height else one.new_from_index(0, frame.height) for name, one in found.items()}
    failed: dict[str, tuple[str, ...]] = {}
    for name, part in singles.items():
        found[name], failed[name] = part.single.column(frame)
    return (
        {place: [None if name is None else found[name] for name in those] for place, those in names.items()},
        {place: tuple(what for name in those if name for what in failed.get(name, ())) for place, those in names.items()},
    )


def _one(
    rule: CompiledRule,
    columns: Sequence[pl.Series | None],
    failures: tuple[str, ...],
    frame: pl.DataFrame,
    late_of: tuple[pl.Series | None, pl.Series | None],
) -> Evaluated:
    when, clear, value = columns
    assert when is not None
    cleared = ~when if clear is None else clear
    out, before = late_of
    if out is not None:
        when, cleared = _where(when, ~out.to_numpy()), _where(cleared, ~out.to_numpy())
        value = None if value is None else _where(value, ~out.to_numpy())
    nothing = pl.Series([None], dtype=pl.Float64).new_from_index(0, frame.height)
    return Evaluated(
        when,
        cleared,
        nothing if value is None else value.cast(pl.Float64),
        groups(rule, frame),
        pl.Series([False]).new_from_index(0, frame.height) if before is None else before,
        failures,
    )


def groups(rule: CompiledRule, frame: pl.DataFrame) -> pl.Series:
    """The group of each row: a JSON object of what alerts are grouped by, "" where by nothing."""
    if not rule.group_by:
        return pl.Series([""]).new_from_index(0, frame.height)
    named = [pl.col(column).alias(name) for name, column in rule.group_by.items()]
    return frame.select(pl.struct(named).struct.json_encode()).to_series()


def measured(measure: CompiledMeasure, frame: pl.DataFrame) -> pl.Series:
    """What each row adds to a measure of an aggregate (Float64): null where it does not count."""
    amount = pl.Series([1.0]).new_from_index(0, frame.height) if measure.amount is None else _part(frame, measure.amount)
    if measure.where is not None:
        amount = _where(amount, _part(frame, measure.where).fill_null(False).to_numpy())
    return amount.cast(pl.Float64)


def _nothing() -> Evaluated:
    flags = pl.Series([], dtype=pl.Boolean)
    return Evaluated(flags, flags, pl.Series([], dtype=pl.Float64), pl.Series([], dtype=pl.String), flags, ())
