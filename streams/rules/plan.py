"""What several rules need of a frame of rows, each thing computed once: readings, windows, and all conditions in one select.

Rules may carry different windows (they came into force at different times); what a window gives then has a column for each.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from schemas.rules import dialect
from schemas.rules.expression import Call
from streams.rules.carried import Windows
from streams.rules.columnar import columnar
from streams.rules.compiled import CompiledRule, Part
from streams.rules.distance import metres
from streams.rules.ports import Failed
from streams.rules.windows import Asked, Bools, Floats, Layout, compute, keep

NOT_CARRIED = (dialect.DISTANCE, dialect.ABSENT_FOR)
_EVERY_ROW = ""


@dataclass(slots=True)
class _Series:
    """Windows over one expression, in one of the windows that are carried: what is asked of it, with the columns that will
    hold it, and the longest window. `readings` names the expression's column, empty where every row counts."""

    windows: int
    name: str
    readings: str
    asked: dict[Asked, str] = field(default_factory=dict)
    horizon: int = 0


class Worked(NamedTuple):
    """The columns of a frame's rows by name; what went wrong, and the seconds of processor time, by name too."""

    columns: Mapping[str, pl.Series]
    failures: Mapping[str, tuple[Failed, ...]]
    seconds: Mapping[str, float]


class Plan:
    """`carried` says of each rule which windows it has, as a place in what `work` is given.

    Attributes:
        columns: the CEL types of the frame's columns, by name.
        outputs: of each rule the columns of when, clear and value; None where it has none.
    """

    def __init__(self, rules: Sequence[CompiledRule], carried: Sequence[int]) -> None:
        self.columns = {name: kind for rule in rules for name, kind in rule.columns.items()}
        self.outputs: list[tuple[str | None, ...]] = []
        self._needs: list[tuple[str, ...]] = []
        self._arguments: dict[str, Part] = {}
        self._distances: dict[str, tuple[Part, ...]] = {}
        self._silences: set[str] = set()
        self._series: dict[tuple[int, str], _Series] = {}
        self._exprs: dict[str, pl.Expr] = {}
        self._singles: dict[str, tuple[Part, Mapping[str, str]]] = {}
        for rule, windows in zip(rules, carried, strict=True):
            self._add(rule, windows)
        self._select = [expr.alias(name) for name, expr in self._exprs.items()]

    def _add(self, rule: CompiledRule, windows: int) -> None:
        named = {name: self._call(rule, name, call, windows) for name, call in rule.calls.items()}
        outputs = tuple(
            None if part is None else self._output(part, named, windows, rule.since)
            for part in (rule.when, rule.clear, rule.value)
        )
        self.outputs.append(outputs)
        self._needs.append((*dict.fromkeys(name for name in outputs if name), *dict.fromkeys(named.values())))

    def _call(self, rule: CompiledRule, name: str, call: Call, windows: int) -> str:
        """The column that will hold what a call gives."""
        if call.function == dialect.ABSENT_FOR:
            self._silences.add(name)
        elif call.function == dialect.DISTANCE:
            self._distances[name] = rule.arguments[name]
        else:
            about = _about(call)
            if call.arguments:
                self._arguments.setdefault(about, rule.arguments[name][0])
            where = windows, series_of(rule.since, call)
            readings = about if call.arguments else _EVERY_ROW
            series = self._series.setdefault(where, _Series(*where, readings))
            series.horizon = max(series.horizon, call.span)
            name = _apart(name, windows, rule.since)
            series.asked[Asked(call.function, call.span)] = name
        return name

    def _output(self, part: Part, named: Mapping[str, str], windows: int, since: str) -> str:
        expression = part.expression
        renamed = {name: column for name, column in named.items() if name in expression.columns and name != column}
        name = f"{expression.kind}:{expression.digest}"
        name = _apart(name, windows, since) if renamed else name
        if name not in self._exprs and name not in self._singles:
            if part.expr is None:
                self._singles[name] = part, renamed
            else:
                self._exprs[name] = columnar(expression, renamed) if renamed else part.expr
        return name

    def horizons(self, windows: int) -> dict[str, int]:
        """The longest window over each series of some windows."""
        return {series.name: series.horizon for (of, _), series in self._series.items() if of == windows}

    def seconds(self, rule: int, worked: Worked) -> float:
        """What a rule alone took; what it shares with others counts for each of them."""
        return sum(worked.seconds.get(name, 0.0) for name in self._needs[rule])

    def failed(self, rule: int, worked: Worked) -> tuple[Failed, ...]:
        """What went wrong in a rule's expressions, in the order of the rows."""
        if not worked.failures:
            return ()
        return tuple(sorted(failed for name in self.outputs[rule] if name for failed in worked.failures.get(name, ())))

    def work(self, frame: pl.DataFrame, placed: Layout, carried: Sequence[Windows], idle: bool) -> Worked:
        """Evaluate; takes the rows into the windows, unless `idle`: then the row is one at which nothing came. The frame has
        all of `columns`."""
        seconds: dict[str, float] = {}
        called = self._called(frame, placed, carried, idle, seconds)
        whole = frame.with_columns(called) if called else frame
        found = _whole({one.name: one for one in whole.select(self._select)}, frame.height) if self._select else {}
        failures = {}
        for name, (part, renamed) in self._singles.items():
            names = part.expression.columns
            rows = whole.select(pl.col(renamed.get(one, one)).alias(one) for one in names) if names else whole
            with _timed(seconds, name):
                found[name], failed = part.single.column(rows)
            if failed:
                failures[name] = failed
        return Worked(found, failures, seconds)

    def _called(
        self, frame: pl.DataFrame, placed: Layout, carried: Sequence[Windows], idle: bool, seconds: dict[str, float]
    ) -> list[pl.Series]:
        """What is over windows, and the other calls, as columns."""
        columns = [pl.Series(name, [idle]).new_from_index(0, frame.height) for name in sorted(self._silences)]
        for name, arguments in self._distances.items():
            columns.append(metres(*(_numbers(frame, part) for part in arguments)).alias(name))
        readings = {name: _readings(frame, part) for name, part in self._arguments.items()}
        every = np.ones(frame.height), np.ones(frame.height, bool)
        for series in self._series.values():
            with _timed(seconds, *series.asked.values()):
                values, valid = readings.get(series.readings, every)
                kept = carried[series.windows].series.setdefault(series.name, {})
                results, merged = compute(kept, placed, values, valid & (not idle), series.asked)
                for one, (result, there) in results.items():
                    column = pl.Series(series.asked[one], result)
                    columns.append(column if there.all() else where(column, there))
                if not idle:
                    keep(kept, placed, merged, valid, series.horizon)
        return columns


@contextmanager
def _timed(seconds: dict[str, float], *names: str) -> Iterator[None]:
    """Processor time of this thread: a machine that is busy with other things makes no rule slow."""
    began = time.thread_time()
    yield
    took = time.thread_time() - began
    seconds.update(dict.fromkeys(names, took))


def _apart(name: str, windows: int, since: str) -> str:
    return name if windows == 0 and not since else f"{windows}|{since}|{name}"


def _about(call: Call) -> str:
    """What a call is over. A condition, of which the rows are counted that it holds of, is told apart from a number: a
    reading of 0 is none of the one and one of the other."""
    return "/".join(argument.digest + ("?" if argument.kind == "bool" else "") for argument in call.arguments)


def series_of(since: str, call: Call) -> str:
    """The name of the series that a call is over: one for every function and span over the same expression."""
    return f"{since}|{_about(call)}"


def where(column: pl.Series, there: Bools) -> pl.Series:
    """The column, null elsewhere."""
    return column.zip_with(pl.Series(there), pl.Series([None], dtype=column.dtype).new_from_index(0, len(column)))


def _whole(columns: Mapping[str, pl.Series], height: int) -> dict[str, pl.Series]:
    """What depends on no column is one value, for all rows."""
    return {name: one if len(one) == height else one.new_from_index(0, height) for name, one in columns.items()}


def of_part(frame: pl.DataFrame, part: Part) -> pl.Series:
    """What an expression gives of each row."""
    if part.expr is None:
        return part.single.column(frame)[0]
    found = frame.select(part.expr.alias("_")).to_series()
    return found if len(found) == frame.height else found.new_from_index(0, frame.height)


def _numbers(frame: pl.DataFrame, part: Part) -> Floats:
    """Doubles, NaN where there is none."""
    return of_part(frame, part).cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _readings(frame: pl.DataFrame, part: Part) -> tuple[Floats, Bools]:
    """The readings of a series: where a condition holds, or where a number is there."""
    found: Any = of_part(frame, part)
    if found.dtype == pl.Boolean:
        return np.ones(frame.height), found.fill_null(False).to_numpy()
    return found.cast(pl.Float64).fill_null(0.0).to_numpy(), found.is_not_null().to_numpy()
