"""Conditions on records, in Google's Common Expression Language (CEL), checked against what a topic's records are.

A condition is compiled twice: once with the exact types of the fields, nullable ones as CEL's wrapper types, which is what
finds a misspelt field or a comparison of text with a number before anything is read; and once without types, to be
evaluated, as this evaluator takes no nulls for wrapper types.

Fields are variables, named as they are; beside them `kafka_partition`, `kafka_offset`, `kafka_timestamp`, `kafka_key`
(bytes) and, where a topic has several record types, `record` (the type's name). A nested record is a map of its fields,
whose types are not checked beforehand.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from cel_expr_python import cel

from schemas.contract import RecordType
from schemas.shape import Kind, Shape, shape_of

POSITION: Mapping[str, str] = {
    "kafka_partition": "int",
    "kafka_offset": "int",
    "kafka_timestamp": "timestamp",
    "kafka_key": "wrapper(bytes)",
}
_TYPES = {
    **dict.fromkeys((Kind.STRING, Kind.ENUM), "string"),
    **dict.fromkeys((Kind.INT, Kind.LONG), "int"),
    **dict.fromkeys((Kind.FLOAT, Kind.DOUBLE), "double"),
    Kind.BYTES: "bytes",
    Kind.BOOLEAN: "bool",
    Kind.TIMESTAMP: "timestamp",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = re.compile(r"[A-Za-z_]\w*")
_AT = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


class BadCondition(ValueError):
    """The text is no condition on these records; the message names the column and shows it."""


class Condition:
    """A compiled condition on the records of one topic."""

    def __init__(self, text: str, records: Sequence[RecordType]) -> None:
        """Raises BadCondition."""
        kinds = variables(records)
        checked = _compiled(text, {name: _type(kind) for name, kind in kinds.items()})
        if checked.return_type().name() not in ("BOOL", "bool", "BOOL_WRAPPER", "bool_wrapper"):
            raise BadCondition(
                f"{text!r} is of type {checked.return_type().name().lower()}, a condition must be of type bool"
            )
        self._text, self._kinds = text, kinds
        self._programs: dict[frozenset[str], Any] = {}
        self._named = [name for name in dict.fromkeys(_NAMES.findall(text)) if name in kinds]
        self._times = frozenset(name for name, kind in kinds.items() if kind == "timestamp")
        self.unclear = 0
        """Records so far of which it can't be said whether the condition holds, as it compares what they do not have."""

    def holds(self, frame: pl.DataFrame) -> Iterator[bool]:
        """Of each row; not of one that is unclear. `frame` has the columns that `variables` names; times as Int64
        microseconds."""
        for row in frame.select(name for name in self._named if name in frame.columns).iter_rows(named=True):
            there = frozenset(name for name in self._times & row.keys() if row[name] is not None)
            times = {name: _EPOCH + timedelta(microseconds=row[name]) for name in there}
            found = self._program(there).eval(data={**dict.fromkeys(self._named), **row, **times})
            if found.type().name() == "ERROR":
                self.unclear += 1
            yield found.value() is True

    def _program(self, times: frozenset[str]) -> Any:
        """The evaluator for rows in which these variables are times; it takes a time under its type only."""
        program = self._programs.get(times)
        if program is None:
            types = {name: cel.Type.TIMESTAMP if name in times else cel.Type.DYN for name in self._kinds}
            program = self._programs[times] = _compiled(self._text, types)
        return program


def variables(records: Sequence[RecordType]) -> dict[str, str]:
    """The variables of a topic's records, and the CEL type of each."""
    found = dict(POSITION)
    if len(records) > 1:
        found["record"] = "string"
    for record in records:
        for field in shape_of(record.schema).fields:
            found[field.name] = _cel_type(field.shape, several=len(records) > 1)
    return found


def _cel_type(shape: Shape, several: bool) -> str:
    if shape.kind is Kind.RECORD:
        return "map(string, dyn)"
    if shape.kind is Kind.ARRAY:
        return f"list({_cel_type(shape.item, False)})"
    plain = _TYPES[shape.kind]
    # Of several record types each lacks the fields of the others.
    return f"wrapper({plain})" if (shape.nullable or several) and plain != "timestamp" else plain


_PLAIN = {
    "int": cel.Type.INT,
    "string": cel.Type.STRING,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "bytes": cel.Type.BYTES,
    "timestamp": cel.Type.TIMESTAMP,
    "map(string, dyn)": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
}
_WRAPPED = {
    name: cel.Type(f"google.protobuf.{wrapper}Value")
    for name, wrapper in (("int", "Int64"), ("string", "String"), ("double", "Double"), ("bool", "Bool"), ("bytes", "Bytes"))
}


def _type(kind: str) -> Any:
    if kind.startswith("wrapper("):
        return _WRAPPED[kind[len("wrapper(") : -1]]
    if kind.startswith("list("):
        return cel.Type.List(_type(kind[len("list(") : -1]))
    return _PLAIN[kind]


def _compiled(text: str, types: Mapping[str, Any]) -> Any:
    try:
        return cel.NewEnv(variables=types).compile(text)
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
