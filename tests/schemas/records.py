"""Random Avro values of a shape, within the contract's bounds or only of the right types."""

import string
from typing import Any

from hypothesis import strategies as st

from schemas.contract import load
from schemas.shape import FLOATS, INT_MAX, INT_MIN, INTEGERS, LONG_MAX, LONG_MIN, Kind, Shape

RECORDS = load().records
NAMES = sorted(RECORDS)

WORD = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def within(shape: Shape) -> st.SearchStrategy[Any]:
    """Values that break no bound."""
    value = _within(shape)
    return st.none() | value if shape.nullable else value


def _within(shape: Shape) -> st.SearchStrategy[Any]:
    bounds = shape.bounds
    if shape.kind is Kind.RECORD:
        return st.fixed_dictionaries({part.name: within(part.shape) for part in shape.fields})
    if shape.kind is Kind.ARRAY:
        most = min(4, bounds.max_items or 4)
        return st.lists(within(shape.item), min_size=bounds.min_items or 0, max_size=most)
    if shape.kind in INTEGERS:
        least, most = (INT_MIN, INT_MAX) if shape.kind is Kind.INT else (LONG_MIN, LONG_MAX)
        low = least if bounds.minimum is None else int(bounds.minimum)
        return st.integers(low, most if bounds.maximum is None else int(bounds.maximum))
    if shape.kind in FLOATS:
        width = 32 if shape.kind is Kind.FLOAT else 64
        return st.floats(bounds.minimum, bounds.maximum, allow_nan=False, allow_infinity=False, width=width)
    if shape.kind is Kind.STRING:
        return _text_within(shape)
    if shape.kind is Kind.BYTES:
        least = bounds.min_length or 0
        return st.binary(min_size=least, max_size=min(least + 12, bounds.max_length or least + 12))
    return anything(shape)


def _text_within(shape: Shape) -> st.SearchStrategy[str]:
    bounds = shape.bounds
    if bounds.format == "json-object":
        return st.sampled_from(["{}", '{"a":1}', '{"ü":[null,"x"]}'])
    if bounds.min_length == bounds.max_length == 36:
        return st.uuids().map(str)
    if bounds.pattern is not None:
        return WORD.map(lambda text: f"a{text}")
    return st.text(
        st.characters(exclude_categories=("Cs",)),
        min_size=bounds.min_length or 0,
        max_size=min(12, bounds.max_length or 12),
    )


def anything(shape: Shape) -> st.SearchStrategy[Any]:
    """Values of the right type, whatever the bounds."""
    value = _anything(shape)
    return st.none() | value if shape.nullable else value


def _anything(shape: Shape) -> st.SearchStrategy[Any]:
    if shape.kind is Kind.RECORD:
        return st.fixed_dictionaries({part.name: anything(part.shape) for part in shape.fields})
    if shape.kind is Kind.ARRAY:
        return st.lists(anything(shape.item), max_size=4)
    if shape.kind is Kind.ENUM:
        return st.sampled_from(shape.symbols)
    simple: dict[Kind, st.SearchStrategy[Any]] = {
        Kind.INT: st.integers(INT_MIN, INT_MAX),
        Kind.LONG: st.integers(LONG_MIN, LONG_MAX),
        Kind.TIMESTAMP: st.integers(LONG_MIN, LONG_MAX),
        Kind.FLOAT: st.floats(width=32),
        Kind.DOUBLE: st.floats(),
        Kind.BOOLEAN: st.booleans(),
        Kind.STRING: TEXT,
        Kind.BYTES: st.binary(max_size=12),
    }
    return simple[shape.kind]


def same(a: Any, b: Any) -> bool:
    """Equal, where NaN equals NaN."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and isinstance(b, float) and a != a and b != b)
