"""Naming every violation in a JSON body that `schemas.json_form` refused. Slow and exact: it runs on refusals only."""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec

from schemas.json_schema import sent_fields
from schemas.moments import micros
from schemas.shape import FLOATS, INT_MAX, INT_MIN, INTEGERS, LONG_MAX, LONG_MIN, Kind, Shape, shown, violation

LONGEST_NUMBER = 400  # digits; the largest double has 309
_HUGE: int = 10**LONGEST_NUMBER  # out of every range, as is what it stands for
MOST_NAMED = 100  # violations of one body; a body of thousands of faults need not be answered with all
_Aware = Annotated[datetime, msgspec.Meta(tz=True)]


class Violation(NamedTuple):
    """One fault: where (`$.readings[0].value`) and what."""

    path: str
    message: str


def faults_of(shape: Shape, body: bytes, path: str) -> list[Violation] | None:
    """The violations in `body`, at most MOST_NAMED, in the order of the contract's fields; None if it is no JSON."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_int=_whole)
    except RecursionError:
        return [Violation(path, "is nested too deeply")]
    except ValueError:
        return None
    found = _record(shape, value, path)
    return [fault for fault, _ in zip(found, range(MOST_NAMED), strict=False)]


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _whole(text: str) -> int:
    if len(text) <= LONGEST_NUMBER:
        return int(text)
    return -_HUGE if text.startswith("-") else _HUGE


def _record(shape: Shape, value: Any, path: str) -> Iterator[Violation]:
    if not isinstance(value, dict):
        yield Violation(path, f"expected an object, got {_named(value)}")
        return
    fields = sent_fields(shape)
    for part in fields:
        if part.name in value:
            yield from _value(part.shape, value[part.name], f"{path}.{part.name}")
        elif part.required:
            yield Violation(f"{path}.{part.name}", "is required")
    server_made = {part.name for part in shape.fields if part.origin == "server"}
    taken = {part.name for part in fields}
    for name in (name for name in value if name not in taken):
        message = "is filled in by the server" if name in server_made else "is not a field"
        yield Violation(f"{path}.{_shown_name(name)}", message)


def _value(shape: Shape, value: Any, path: str) -> Iterator[Violation]:
    if value is None and shape.nullable:
        return
    if shape.kind is Kind.RECORD:
        yield from _record(shape, value, path)
    elif shape.kind is Kind.ARRAY and isinstance(value, list):
        message = violation(shape, value)
        if message is not None:
            yield Violation(path, message)
        for i, item in enumerate(value):
            yield from _value(shape.item, item, f"{path}[{i}]")
    else:
        message = _leaf(shape, value)
        if message is not None:
            yield Violation(path, message)


def _leaf(shape: Shape, value: Any) -> str | None:
    if shape.kind is Kind.STRING and shape.bounds.format == "json-object":
        return _object(shape, value)
    if shape.kind is Kind.TIMESTAMP and isinstance(value, str):
        return _timestamp(shape, value)
    if not _fits(shape.kind, value):
        return f"expected {_EXPECTED[shape.kind]}, got {_named(value)}"
    if isinstance(value, str):
        if any("\ud800" <= c <= "\udfff" for c in value):
            return "holds half of a surrogate pair, which is no Unicode text"
        if shape.kind is Kind.ENUM and value not in shape.symbols:
            return f"{shown(value)} is none of {', '.join(shape.symbols)}"
    if shape.kind in FLOATS:
        return _float(shape, value)
    if shape.kind in INTEGERS:
        least, most = (INT_MIN, INT_MAX) if shape.kind is Kind.INT else (LONG_MIN, LONG_MAX)
        if not least <= value <= most:
            return f"{shown(value)} is out of range"
    return violation(shape, value)


_EXPECTED = {
    Kind.STRING: "a string",
    Kind.ENUM: "a string",
    Kind.INT: "an integer",
    Kind.LONG: "an integer",
    Kind.TIMESTAMP: "an RFC 3339 string or an integer of microseconds",
    Kind.FLOAT: "a number",
    Kind.DOUBLE: "a number",
    Kind.BOOLEAN: "a boolean",
    Kind.ARRAY: "an array",
}


def _fits(kind: Kind, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is Kind.BOOLEAN
    if kind in INTEGERS:
        return isinstance(value, int)
    if kind in FLOATS:
        return isinstance(value, int | float)
    return kind in (Kind.STRING, Kind.ENUM) and isinstance(value, str)


def _float(shape: Shape, value: int | float) -> str | None:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return violation(shape, number) if math.isfinite(number) else "is out of the range of a double"


def _timestamp(shape: Shape, value: str) -> str | None:
    try:
        moment = msgspec.convert(value, _Aware)
    except (msgspec.ValidationError, ValueError):
        return f"{shown(value)} is not RFC 3339 with a zone, such as 2024-05-01T12:00:00Z"
    fault = violation(shape, micros(moment))
    return None if fault is None else f"{shown(value)} is out of range"


def _object(shape: Shape, value: Any) -> str | None:
    if not isinstance(value, dict):
        return f"expected an object, got {_named(value)}"
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return violation(shape, msgspec.json.encode(value).decode())
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no Unicode text"
    except (ValueError, OverflowError):
        return "holds a number that is out of range"
    except RecursionError:
        return "is nested too deeply"


def _named(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return shown(value)


def _shown_name(name: str) -> str:
    return name if name.isidentifier() and len(name) <= 128 else shown(name)
