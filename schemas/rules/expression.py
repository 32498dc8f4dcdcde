"""Expressions of rules, checked: what `schemas.rules.checking` makes of a text, and `streams.rules` evaluates."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from schemas.rules import dialect, tree

_LENGTH = re.compile(r"([0-9.]+)(h|ms|us|ns|m|s)")
_UNITS = {"h": 3_600e6, "m": 60e6, "s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Of CEL's durations, such as 1h30m, in microseconds."""
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


class BadExpression(ValueError):
    """The text is no expression on these records; the message names the column and shows it."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression. `root` is its tree (schemas.rules.tree), whose idents are names of columns; `types` the CEL type
    of each node by id; `columns` what it reads: the CEL type of each, and of `calls` that were taken out, by column name."""

    text: str
    kind: str
    root: Any
    types: Mapping[int, str]
    columns: Mapping[str, str]
    calls: Mapping[str, "Call"]

    @property
    def digest(self) -> str:
        """Equal for expressions that are evaluated alike."""
        return digest(self.root)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was taken out: a function over a window of `span` microseconds, or `distance` of four arguments."""

    function: str
    arguments: tuple[Expression, ...]
    span: int

    @property
    def column(self) -> str:
        """The name of the column that holds what it gives; equal calls have equal ones."""
        about = "/".join(argument.digest for argument in self.arguments)
        return f"call:{self.function}:{about}:{self.span}"

    @property
    def kind(self) -> str:
        return {dialect.COUNT: "int", dialect.ABSENT_FOR: "bool"}.get(self.function, "double")


def digest(root: Any) -> str:
    """A tree's digest: the same for texts that differ in spaces."""
    bare = type(root)()
    bare.CopyFrom(root)
    _forget_ids(bare)
    return sha256(bare.SerializeToString(deterministic=True)).hexdigest()[:24]


def _forget_ids(node: Any) -> None:
    node.ClearField("id")
    for child in tree.children(node):
        _forget_ids(child)


def explained(text: str, message: str) -> str:
    """What the compiler says of each fault, with the place marked below the text."""
    found = [(int(line), int(column), what) for line, column, what in _ERROR.findall(message)]
    if not found:
        return f"{text[:60]!r} is no expression: {message.removesuffix(' [INVALID_ARGUMENT]')}"
    return "\n".join(shown(text, line, column, what.removesuffix(" (in container '')")) for line, column, what in found[:5])


def shown(text: str, line: int, column: int, what: str) -> str:
    if line < 1:
        return what
    shown = text.split("\n")[line - 1]
    begin = max(0, column - 60)
    return f"column {column}: {what}\n  {shown[begin : begin + 120]}\n  {' ' * (column - 1 - begin)}^"


def constant(node: Any) -> Any:
    """The value of a literal node; None if it is none, or null."""
    if node.WhichOneof("kind") != "const":
        return None
    kind = node.const.WhichOneof("kind")
    return None if kind == "null_value" else getattr(node.const, kind)


def durations(root: Any) -> set[int]:
    """The literal durations in a tree, in whole microseconds."""
    inner = {length for child in tree.children(root) for length in durations(child)}
    if root.WhichOneof("kind") == "call" and root.call.function == "duration" and len(root.call.args) == 1:
        text = constant(root.call.args[0])
        if isinstance(text, str):
            inner.add(round(sum(float(number) * _UNITS[unit] for number, unit in _LENGTH.findall(text))))
    return inner
