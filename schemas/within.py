"""Whether a decoded value is within the contract's bounds, and nothing more: cheaper than looking for what is not
(`schemas.shape.violations`), as the shape is walked once and not for each value."""

import math
import re
from collections.abc import Callable
from typing import Any

from schemas.shape import FLOATS, INTEGERS, Kind, Shape

Within = Callable[[Any], bool]


def within(shape: Shape) -> Within:
    """A function that says of a decoded Avro value of the shape whether it has no violations."""
    return _check(shape) or _always


def _always(value: Any) -> bool:
    return True


def _check(shape: Shape) -> Within | None:
    """None where every value is within."""
    if shape.kind is Kind.RECORD:
        return _record(shape)
    if shape.kind is Kind.ARRAY:
        return _array(shape)
    if shape.kind in INTEGERS or shape.kind in FLOATS:
        return _number(shape)
    if shape.kind in (Kind.STRING, Kind.BYTES):
        return _text(shape)
    return None


def _record(shape: Shape) -> Within | None:
    parts = [(part.name, check) for part in shape.fields if (check := _check(part.shape)) is not None]
    if not parts:
        return None

    def good(value: Any) -> bool:
        if value is not None:
            for name, check in parts:
                if not check(value[name]):
                    return False
        return True

    return good


def _array(shape: Shape) -> Within | None:
    least, most = _range(shape.bounds.min_items, shape.bounds.max_items)
    check = _check(shape.item)
    if check is None:
        return lambda value: value is None or least <= len(value) <= most
    return lambda value: value is None or (least <= len(value) <= most and all(map(check, value)))


def _number(shape: Shape) -> Within | None:
    least, most = _range(shape.bounds.minimum, shape.bounds.maximum)
    if shape.kind in FLOATS:
        return lambda value: value is None or (math.isfinite(value) and least <= value <= most)
    if (least, most) == _range(None, None):
        return None
    return lambda value: value is None or least <= value <= most


def _text(shape: Shape) -> Within | None:
    bounds = shape.bounds
    least, most = _range(bounds.min_length, bounds.max_length)
    if bounds.regex is not None and shape.kind is Kind.STRING:
        found = re.compile(bounds.regex).search
        return lambda value: value is None or (least <= len(value) <= most and found(value) is not None)
    if (least, most) == _range(None, None):
        return None
    return lambda value: value is None or least <= len(value) <= most


def _range(least: float | None, most: float | None) -> tuple[float, float]:
    return -math.inf if least is None else least, math.inf if most is None else most
