"""Conditions on records, in Google's Common Expression Language (CEL), checked against what a topic's records are.

A condition is compiled twice: once with the exact types of the fields, nullable ones as CEL's wrapper types, which is what
finds a misspelt field or a comparison of text with a number before anything is read; and once without types, to be
evaluated, as this evaluator takes no nulls for wrapper types.

Fields are variables, named as they are; beside them `kafka_partition`, `kafka_offset`, `kafka_timestamp`, `kafka_key`
(bytes) and, where a topic has several record types, `record` (the type's name). The types of fields of nested records are
checked like all others (schemas.expression_types).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
from cel_expr_python import cel
from google.protobuf.descriptor_pool import DescriptorPool

from schemas.contract import RecordType
from schemas.expression_types import Types, conversion
from schemas.shape import Kind, Shape, shape_of

POSITION: Mapping[str, Shape] = {
    "kafka_partition": Shape(Kind.LONG),
    "kafka_offset": Shape(Kind.LONG),
    "kafka_timestamp": Shape(Kind.TIMESTAMP),
    "kafka_key": Shape(Kind.BYTES, nullable=True),
}
_NAMES = re.compile(r"[A-Za-z_]\w*")
_AT = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


class BadCondition(ValueError):
    """The text is no condition on these records; the message names the column and shows it."""


class Condition:
    """A compiled condition on the records of one topic."""

    def __init__(self, text: str, records: Sequence[RecordType]) -> None:
        """Raises BadCondition."""
        self._shapes, types = variables(records), Types()
        checked = _compiled(text, {name: types.of(shape) for name, shape in self._shapes.items()}, types.pool)
        if checked.return_type().name() not in ("BOOL", "bool", "BOOL_WRAPPER", "bool_wrapper"):
            raise BadCondition(
                f"{text!r} is of type {checked.return_type().name().lower()}, a condition must be of type bool"
            )
        self._named = [name for name in dict.fromkeys(_NAMES.findall(text)) if name in self._shapes]
        found = {name: conversion(self._shapes[name]) for name in self._named}
        self._conversions = {name: made for name, made in found.items() if made is not None}
        # Untyped, so that what a record does not have may be null.
        self._program = _compiled(text, dict.fromkeys(self._named, cel.Type.DYN))
        self.unclear = 0
        """Records so far of which it can't be said whether the condition holds, as it compares what they do not have."""

    def holds(self, frame: pl.DataFrame) -> Iterator[bool]:
        """Of each row; not of one that is unclear. `frame` has the columns that `variables` names; times as Int64
        microseconds."""
        lacking = dict.fromkeys(self._named)
        for row in frame.select(name for name in self._named if name in frame.columns).iter_rows(named=True):
            values = {**lacking, **row}
            found = self._program.eval(data=values | {name: made(values[name]) for name, made in self._conversions.items()})
            if found.type().name() == "ERROR":
                self.unclear += 1
            yield found.value() is True


def variables(records: Sequence[RecordType]) -> dict[str, Shape]:
    """The variables of a topic's records, and the shape of each."""
    found = dict(POSITION)
    several = len(records) > 1
    if several:
        found["record"] = Shape(Kind.STRING)
    for record in records:
        for field in shape_of(record.schema).fields:
            # Of several record types each lacks the fields of the others.
            found[field.name] = replace(field.shape, nullable=field.shape.nullable or several)
    return found


def _compiled(text: str, types: Mapping[str, Any], messages: DescriptorPool | None = None) -> Any:
    try:
        return cel.NewEnv(messages, variables=types).compile(text)
    except RuntimeError as error:
        raise BadCondition(_explained(text, str(error))) from None


def _explained(text: str, message: str) -> str:
    """What the compiler says, with the place marked below the text."""
    found = _AT.search(message)
    if found is None:
        return f"{text!r} is no condition: {message}"
    line, column, what = int(found[1]), int(found[2]), found[3].removesuffix(" (in container '')")
    shown = text.split("\n")[line - 1]
    return f"column {column}: {what}\n  {shown}\n  {' ' * (column - 1)}^"
