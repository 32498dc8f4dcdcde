"""Checked expressions record by record, by Google's evaluator: what the columnar translation is held equal to, and what
evaluates the expressions that it does not take."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from schemas.rules.dialect import evaluator
from schemas.rules.expression import Expression
from schemas.rules.tree import serialized
from streams.rules.dtypes import DTYPES, EPOCH
from streams.rules.ports import Failed

_MICRO = timedelta(microseconds=1)
MOST_FAILURES = 3


class Single:
    """An expression for one record after another. Not for several threads."""

    def __init__(self, expression: Expression) -> None:
        self._root = serialized(expression.root)
        self._columns = expression.columns
        self._times = tuple(name for name, kind in expression.columns.items() if kind in ("timestamp", "duration"))
        self._programs: dict[frozenset[str], Any] = {}
        self._dtype = DTYPES.get(expression.kind)

    def column(self, frame: pl.DataFrame) -> tuple[pl.Series, tuple[Failed, ...]]:
        """What it gives of each row, null where that is null or an error; and what went wrong beyond what CEL calls an
        error, such as too many iterations of a comprehension: at most a few messages, each with its first row."""
        failures: dict[str, int] = {}
        found = list(self._each(frame, failures))
        return pl.Series(found, dtype=self._dtype), tuple(Failed(row, why) for why, row in failures.items())[:MOST_FAILURES]

    def value(self, row: Mapping[str, Any]) -> Any:
        """Of one record; times are microseconds.

        Raises:
            RuntimeError: too many iterations of a comprehension.
        """
        there = {name: row[name] for name in self._columns}
        times = frozenset(name for name in self._times if there[name] is not None)
        for name in times:
            there[name] = EPOCH + there[name] * _MICRO
        found = self._program(times).eval(data=there)
        return None if found.type().name() == "ERROR" else _plain(found.value())

    def _each(self, frame: pl.DataFrame, failures: dict[str, int]) -> Iterator[Any]:
        if not self._columns:
            rows: Iterator[dict[str, Any]] = iter([{}] * frame.height)
        else:
            rows = frame.select(*self._columns).iter_rows(named=True)
        for number, row in enumerate(rows):
            try:
                yield self.value(row)
            except RuntimeError as error:
                failures.setdefault(str(error).removesuffix(" [INTERNAL]"), number)
                yield None

    def _program(self, times: frozenset[str]) -> Any:
        """The evaluator for rows in which these variables are times; it takes a time under its type only."""
        program = self._programs.get(times)
        if program is None:
            kinds = {
                name: kind if kind not in ("timestamp", "duration") or name in times else "dyn"
                for name, kind in self._columns.items()
            }
            program = self._programs[times] = evaluator(kinds).deserialize(self._root)
        return program


def _plain(value: Any) -> Any:
    """Times and durations as microseconds, others as they are."""
    if isinstance(value, datetime):
        value = value - EPOCH
    return value // _MICRO if isinstance(value, timedelta) else value
