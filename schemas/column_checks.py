"""The contract's bounds over whole columns: which rows to look at more closely. Happy columns cost a pass or two."""

from typing import Any

import numpy as np
import polars as pl

from schemas.shape import FLOATS, INTEGERS, Bounds, Kind, Shape

Mask = np.ndarray[Any, np.dtype[np.bool_]]


class Checks:
    """The checks of one record shape."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._expressions = [e for part in shape.fields for e in _expressions(part.shape, pl.col(part.name))]

    def suspects(self, frame: pl.DataFrame) -> Mask | None:
        """The rows that break a bound; None when no row does."""
        if self._hold(frame):
            return None
        return _union([_column(part.shape, frame[part.name]) for part in self._shape.fields])

    def _hold(self, frame: pl.DataFrame) -> bool:
        """Whether every bound holds for every row: all bounds in one call, each over its whole column."""
        if not self._expressions or not frame.height:
            return True
        answers = frame.select(e.alias(str(i)) for i, e in enumerate(self._expressions))
        return all(answers.row(0))


def _expressions(shape: Shape, column: pl.Expr) -> list[pl.Expr]:
    """Expressions of one boolean each: whether a bound holds for all values of `column`. A null breaks no bound."""
    bounds = shape.bounds
    if shape.kind is Kind.RECORD:
        return [e for part in shape.fields for e in _expressions(part.shape, column.struct.field(part.name))]
    if shape.kind is Kind.ARRAY:
        items = column.explode(empty_as_null=False, keep_nulls=False)
        return [*_in_range(column.list.len(), bounds.min_items, bounds.max_items), *_expressions(shape.item, items)]
    if shape.kind in FLOATS:
        return [column.is_finite().all(), *_in_range(column, bounds.minimum, bounds.maximum)]
    if shape.kind in INTEGERS:
        return _in_range(column, bounds.minimum, bounds.maximum)
    if shape.kind is Kind.BYTES:
        return _in_range(column.bin.size(), bounds.min_length, bounds.max_length)
    if shape.kind is not Kind.STRING:
        return []
    # A text has at least as many bytes as characters, and one of either exactly if it has one of the other.
    least, octets = bounds.min_length or 0, column.str.len_bytes()
    made = _in_range(octets if least <= 1 else column.str.len_chars(), least, None)
    made += _in_range(octets, None, bounds.max_length)
    if bounds.pattern is not None:
        made.append(column.unique().str.contains(bounds.pattern).all())  # texts repeat: metrics, units, devices
    return made


def _in_range(column: pl.Expr, least: float | None, most: float | None) -> list[pl.Expr]:
    low = [] if least is None else [(column.min() >= least).fill_null(True)]
    high = [] if most is None else [(column.max() <= most).fill_null(True)]
    return low + high


def _union(masks: list[Mask | None]) -> Mask | None:
    found = [mask for mask in masks if mask is not None]
    return np.logical_or.reduce(found) if found else None


def _column(shape: Shape, column: pl.Series) -> Mask | None:
    """Nulls break no bound (Avro's type says whether there may be any)."""
    if column.null_count():
        present = column.is_not_null().to_numpy()
        inner = _column(shape, column.drop_nulls())
        if inner is None:
            return None
        mask = np.zeros(len(column), np.bool_)
        mask[present] = inner
        return mask
    if not len(column):
        return None
    if shape.kind is Kind.RECORD:
        return _union([_column(part.shape, column.struct.field(part.name)) for part in shape.fields])
    if shape.kind is Kind.ARRAY:
        return _array(shape, column)
    if shape.kind in FLOATS:
        return _floats(shape.bounds, column)
    if shape.kind in INTEGERS:
        return _range(column, shape.bounds.minimum, shape.bounds.maximum)
    if shape.kind is Kind.STRING:
        return _texts(shape.bounds, column)
    if shape.kind is Kind.BYTES and (shape.bounds.min_length, shape.bounds.max_length) != (None, None):
        return _range(column.bin.size(), shape.bounds.min_length, shape.bounds.max_length)
    return None


def _range(column: pl.Series, least: float | None, most: float | None) -> Mask | None:
    """The rows of a column of numbers that are outside [least, most]; None when there are none."""
    numbers = column.to_numpy()
    mask = np.zeros(len(numbers), np.bool_)
    if least is not None:
        mask |= numbers < least
    if most is not None:
        mask |= numbers > most
    return mask if mask.any() else None


def _floats(bounds: Bounds, column: pl.Series) -> Mask | None:
    infinite = ~np.isfinite(column.to_numpy())
    return _union([infinite if infinite.any() else None, _range(column, bounds.minimum, bounds.maximum)])


def _texts(bounds: Bounds, column: pl.Series) -> Mask | None:
    return _union([_lengths(bounds, column), None if bounds.pattern is None else _pattern(bounds.pattern, column)])


def _lengths(bounds: Bounds, column: pl.Series) -> Mask | None:
    least, most = bounds.min_length or 0, bounds.max_length
    octets = column.str.len_bytes()
    # A text has at most as many characters as bytes, and no character exactly if it has no byte.
    if least <= 1 and _range(octets, least, most) is None:
        return None
    return _range(column.str.len_chars(), least, most)


def _pattern(pattern: str, column: pl.Series) -> Mask | None:
    if column.unique().str.contains(pattern).all():  # texts repeat: metrics, units, devices
        return None
    return ~column.str.contains(pattern).to_numpy()


def _array(shape: Shape, column: pl.Series) -> Mask | None:
    counts = column.list.len()
    wrong = _range(counts, shape.bounds.min_items, shape.bounds.max_items)
    items = _column(shape.item, column.explode(empty_as_null=False, keep_nulls=False))
    if items is None:
        return wrong
    rows = np.repeat(np.arange(len(column)), counts.to_numpy())
    mask = np.zeros(len(column), np.bool_)
    mask[rows[items]] = True
    return _union([wrong, mask])
