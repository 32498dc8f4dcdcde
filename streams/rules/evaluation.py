"""Compiled rules over frames: the work that several rules share is done once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from schemas.rules import dialect
from schemas.rules.expression import Call
from streams.rules.compiled import CompiledMeasure, CompiledRule, Part
from streams.rules.distance import metres
from streams.rules.ports import AT, KEY, RECEIVED
from streams.rules.windows import Asked, Bools, Floats, Layout, Windows, compute, keep, late, layout

EVERY_ROW = ""
"""The series of the rows themselves."""


class Evaluated(NamedTuple):
    """What a rule says of each row of a frame.

    `raised` and `cleared` (Boolean) are null where that is unclear: what the expression needs is not there, or the row is
    `late` (Boolean): before one of the same device that was evaluated already. `value` (Float64) is what an alert shows, null
    where there is none; `group` (String) a JSON object of what alerts are grouped by, "" where by nothing. `failures` are
    what went wrong beyond that, such as too many iterations of a comprehension: reasons to suspend the rule.
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
        self.windows = windows or Windows()
        horizons: dict[tuple[str, str], int] = {}
        for rule in self.rules:
            for call in rule.calls.values():
                if call.function != dialect.DISTANCE:
                    series = _series(call)
                    horizons[rule.since, series] = max(horizons.get((rule.since, series), 0), _horizon(call))
        self._horizons = horizons
        self.windows.forget(
            (_name(since, series) for since, series in horizons), (_name(rule.since, *rule.relevant) for rule in self.rules)
        )

    def evaluate(self, frame: pl.DataFrame) -> list[Evaluated]:
        """Of each rule, in their order; takes the rows into the windows."""
        return self._evaluated(frame, idle=False)

    def idle(self, key: str, at: int, device: Mapping[str, str] | None = None) -> list[tuple[bool | None, bool | None]]:
        """Of each rule, whether it is raised and cleared at a time when nothing new came of a key: its windows may have
        emptied, and `absent_for` may hold. `device`: its columns, `device.state` and so on. Nothing is carried on."""
        columns = {name: kind for rule in self.rules for name, kind in rule.columns.items()}
        known = {KEY: key, AT: at, RECEIVED: at, **(device or {})}
        row = {name: [known.get(name)] for name in (*columns, KEY, AT, RECEIVED)}
        schema: dict[str, Any] = {name: _IDLE.get(kind, pl.Null()) for name, kind in columns.items()}
        frame = pl.DataFrame(row, schema={**schema, KEY: pl.String(), AT: pl.Int64(), RECEIVED: pl.Int64()})
        return [(each.raised.item(), each.cleared.item()) for each in self._evaluated(frame, idle=True)]

    def _evaluated(self, frame: pl.DataFrame, idle: bool) -> list[Evaluated]:
        if frame.is_empty():
            return [_nothing() for _ in self.rules]
        placed = layout(frame[KEY], frame[AT], frame[RECEIVED])
        found: list[Evaluated | None] = [None] * len(self.rules)
        for since in dict.fromkeys(rule.since for rule in self.rules):
            those = [place for place, rule in enumerate(self.rules) if rule.since == since]
            rules = [self.rules[place] for place in those]
            whole, failures = self._with_calls(frame, placed, rules, since, idle)
            for place, one in zip(those, self._each(whole, placed, rules, idle), strict=True):
                found[place] = one._replace(failures=(*one.failures, *failures.get(place, ())))
        return [one for one in found if one is not None]

    def _with_calls(
        self, frame: pl.DataFrame, placed: Layout, rules: Sequence[CompiledRule], since: str, idle: bool
    ) -> tuple[pl.DataFrame, dict[int, tuple[str, ...]]]:
        """The frame with what is over windows as columns."""
        calls = {name: call for rule in rules for name, call in rule.calls.items()}
        arguments = {name: parts for rule in rules for name, parts in rule.arguments.items()}
        columns: list[pl.Series] = []
        by_series: dict[str, list[tuple[str, Call]]] = {}
        for name, call in calls.items():
            if call.function == dialect.DISTANCE:
                given = [_numbers(frame, part) for part in arguments[name]]
                columns.append(metres(name, *given))
            else:
                by_series.setdefault(_series(call), []).append((name, call))
        for series, asked in by_series.items():
            values, valid = _readings(frame, arguments[asked[0][0]], asked[0][1])
            columns += self._series_columns(_name(since, series), placed, (values, valid & (not idle)), asked, idle)
            if not idle:
                self._kept_horizon(since, series)
        return (frame.with_columns(columns) if columns else frame), {}
