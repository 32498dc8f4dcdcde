"""Checked expressions as polars expressions, with the meaning that CEL gives them.

CEL knows values, null, and errors: a comparison with null is an error, an int that overflows too; `&&` and `||` are clear
of an error where the other side decides. In a column null stands for both: for null where a variable has none, for an error
in what is computed (`_Column.null` says which), so that polars' own logic of three values is CEL's. What can't be told
apart this way, or that polars does otherwise (regular expressions), is left to Google's evaluator: `NotColumnar`.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple

import polars as pl

from schemas.rules.dialect import evaluator
from schemas.rules.durations import BadDuration, micros
from schemas.rules.expression import Expression, constant
from schemas.rules.tree import serialized
from streams.rules.division import divided
from streams.rules.dtypes import DTYPES, EPOCH

_NUMBERS = ("int", "double")
_ALIKE = ("<", "<=", ">", ">=")
_FINER_THAN_MICROS = re.compile(r"\.\d{7,}")
_WIDE = pl.Int128()


class NotColumnar(Exception):
    """The expression is one for Google's evaluator, record by record; the message says why."""


class Null(Enum):
    """What null in a column stands for."""

    NEVER = 0
    NULL = 1
    ERROR = 2


class _Column(NamedTuple):
    expr: pl.Expr
    kind: str
    null: Null
    literal: bool = False


def columnar(expression: Expression, renamed: Mapping[str, str] | None = None) -> pl.Expr:
    """The expression over columns of `DTYPES`: null where it is an error, or null. Columns that are `renamed` are
    there under another name.

    Raises:
        NotColumnar
    """
    found = _Translation(expression, renamed or {}).node(expression.root)
    if found.kind not in DTYPES:
        raise NotColumnar(f"it gives a {found.kind}")
    return found.expr


class _Translation:
    def __init__(self, expression: Expression, renamed: Mapping[str, str]) -> None:
        self.columns, self.types, self.renamed = expression.columns, expression.types, renamed

    def node(self, node: Any) -> _Column:
        kind = node.WhichOneof("kind")
        if kind == "const":
            return self._constant(node)
        if kind == "ident" and self.columns.get(node.ident.name) in DTYPES:
            name: str = node.ident.name
            return _Column(pl.col(self.renamed.get(name, name)), self.columns[name], Null.NULL)
        if kind == "call":
            return self._call(node.call)
        raise NotColumnar(
            f"it uses a {kind}" if kind != "ident" else f"{node.ident.name} is a {self.columns.get(node.ident.name)}"
        )

    def _constant(self, node: Any) -> _Column:
        kind = self.types.get(node.id, "dyn")
        if kind not in ("bool", "int", "double", "string"):
            raise NotColumnar(f"it uses a constant of type {kind}")
        return _Column(pl.lit(constant(node), dtype=DTYPES[kind]), kind, Null.NEVER, True)

    def _call(self, call: Any) -> _Column:
        function = call.function
        arguments = [*([call.target] if call.HasField("target") else []), *call.args]
        if function in ("_==_", "_!=_") and any(_is_null(argument) for argument in arguments):
            return self._null_test(function, arguments)
        if function == "@in":
            return self._within(*arguments)
        if function in ("timestamp", "duration"):
            return _moment(function, arguments)
        handler = _HANDLERS.get((function, len(arguments)))
        if handler is None:
            raise NotColumnar(f"it uses {function}")
        return handler(*(self.node(argument) for argument in arguments))

    def _null_test(self, function: str, arguments: list[Any]) -> _Column:
        others = [argument for argument in arguments if not _is_null(argument)]
        if len(others) != 1:
            raise NotColumnar("it compares null with null")
        found = self.node(others[0])
        if found.null is Null.ERROR:
            raise NotColumnar("it asks whether what may be an error is null")
        equal = found.expr.is_null()
        return _Column(equal if function == "_==_" else ~equal, "bool", Null.NEVER)

    def _within(self, item: Any, among: Any) -> _Column:
        if among.WhichOneof("kind") != "list":
            raise NotColumnar("it looks into a list that is not written out")
        found = self.node(item)
        elements = [self._constant(element) for element in among.list.elements]
        kinds = {element.kind for element in elements}
        if not (kinds <= {found.kind} or kinds | {found.kind} <= set(_NUMBERS)):
            raise NotColumnar("it looks into a list of several types")
        values = [constant(element) for element in among.list.elements]
        expr, kind = found.expr, found.kind
        if kinds | {kind} == set(_NUMBERS):
            expr, kind, values = expr.cast(pl.Float64), "double", [float(value) for value in values]
        there = expr.is_in(pl.Series(values, dtype=DTYPES[kind]).implode()) if values else expr.is_null() & False
        return _Column(there if found.null is Null.ERROR else there.fill_null(False), "bool", _error_if(found))


def _is_null(node: Any) -> bool:
    return bool(node.WhichOneof("kind") == "const" and node.const.WhichOneof("kind") == "null_value")


def _error_if(*operands: _Column) -> Null:
    return Null.ERROR if any(operand.null is Null.ERROR for operand in operands) else Null.NEVER


def _any(*operands: _Column) -> Null:
    """What is an error wherever an operand has no value."""
    return Null.NEVER if all(operand.null is Null.NEVER for operand in operands) else Null.ERROR


def _moment(function: str, arguments: list[Any]) -> _Column:
    """A written-out time or duration, as microseconds; Google's evaluator reads it."""
    text = constant(arguments[0]) if len(arguments) == 1 else None
    if not isinstance(text, str) or _FINER_THAN_MICROS.search(text):
        raise NotColumnar(f"it uses {function} of what is not written out to the microsecond")
    if function == "duration":
        try:
            return _Column(pl.lit(micros(text), dtype=pl.Int64()), "duration", Null.NEVER, True)
        except BadDuration:
            raise NotColumnar(f"it uses the duration {text!r}") from None
    node = type(arguments[0])()
    node.call.function = function
    node.call.args.append(arguments[0])
    found = evaluator({}).deserialize(serialized(node)).eval(data={}).value()
    if not isinstance(found, datetime):
        raise NotColumnar(f"{text!r} is no time")
    return _Column(pl.lit((found - EPOCH) // timedelta(microseconds=1), dtype=pl.Int64()), "timestamp", Null.NEVER, True)


def _and(a: _Column, b: _Column) -> _Column:
    return _Column(a.expr & b.expr, "bool", _any(a, b))


def _or(a: _Column, b: _Column) -> _Column:
    return _Column(a.expr | b.expr, "bool", _any(a, b))


def _not(a: _Column) -> _Column:
    return _Column(~a.expr, "bool", _any(a))


def _choice(condition: _Column, yes: _Column, no: _Column) -> _Column:
    if yes.kind != no.kind:
        raise NotColumnar("the two sides of ?: are of different types")
    states = {yes.null, no.null} - {Null.NEVER} | ({Null.ERROR} if condition.null is not Null.NEVER else set())
    if len(states) > 1:
        raise NotColumnar("?: may give null as well as an error")
    chosen = pl.when(condition.expr).then(yes.expr).when(condition.expr.not_()).then(no.expr)
    return _Column(chosen.otherwise(None), yes.kind, next(iter(states), Null.NEVER))


def _same(a: _Column, b: _Column) -> tuple[_Column, _Column]:
    """Both of one type; an int beside a double becomes one, as Google's evaluator has it."""
    if a.kind == b.kind:
        return a, b
    if {a.kind, b.kind} != set(_NUMBERS):
        raise NotColumnar(f"it compares {a.kind} with {b.kind}")
    made = [
        side if side.kind == "double" else side._replace(expr=side.expr.cast(pl.Float64), kind="double") for side in (a, b)
    ]
    return made[0], made[1]


def _compared(sign: str) -> Callable[[_Column, _Column], _Column]:
    def compare(a: _Column, b: _Column) -> _Column:
        a, b = _same(a, b)
        if a.kind == "bool":
            raise NotColumnar("it orders booleans")
        found = {"<": a.expr < b.expr, "<=": a.expr <= b.expr, ">": a.expr > b.expr, ">=": a.expr >= b.expr}[sign]
        # To polars NaN is greater than everything and equal to itself; to CEL no comparison with it holds.
        greater, lesser = (b, a) if sign in ("<", "<=") else (a, b)
        if a.kind == "double" and not greater.literal:
            number = greater.expr.is_not_nan()
            found &= number if lesser.null is Null.NEVER else number | lesser.expr.is_null()
        return _Column(found, "bool", _any(a, b))

    return compare


def _equal(a: _Column, b: _Column) -> _Column:
    a, b = _same(a, b)
    found = a.expr.eq_missing(b.expr)
    if a.kind == "double" and not a.literal and not b.literal:
        found &= a.expr.is_not_nan() | a.expr.is_null()
    for side in (a, b):
        if side.null is Null.ERROR:
            found = pl.when(side.expr.is_null()).then(None).otherwise(found)
    return _Column(found, "bool", _error_if(a, b))


def _unequal(a: _Column, b: _Column) -> _Column:
    found = _equal(a, b)
    return found._replace(expr=~found.expr)


def _arithmetic(sign: str) -> Callable[[_Column, _Column], _Column]:
    def compute(a: _Column, b: _Column) -> _Column:
        kind = a.kind
        if sign == "-" and (a.kind, b.kind) == ("timestamp", "timestamp"):
            return _Column(a.expr - b.expr, "duration", _any(a, b))
        if sign == "+" and (a.kind, b.kind) == ("string", "string"):
            return _Column(a.expr + b.expr, "string", _any(a, b))
        if a.kind != b.kind or kind not in _NUMBERS:
            raise NotColumnar(f"it combines {a.kind} and {b.kind} by {sign}")
        if kind == "double":
            found = {"+": a.expr + b.expr, "-": a.expr - b.expr, "*": a.expr * b.expr, "/": divided(a.expr, b.expr)}.get(
                sign
            )
            if found is None:
                raise NotColumnar(f"it uses {sign} of doubles")
            return _Column(found, "double", _any(a, b))
        return _Column(_whole(sign, a.expr.cast(_WIDE), b.expr.cast(_WIDE)), "int", Null.ERROR)

    return compute


def _whole(sign: str, a: pl.Expr, b: pl.Expr) -> pl.Expr:
    """Of ints: null where CEL has an overflow or a division by zero. Division goes towards zero, as CEL's does."""
    if sign in ("/", "%"):
        b = pl.when(b != 0).then(b)
        towards_zero = (a.abs() // b.abs()) * a.sign() * b.sign()
        found = towards_zero if sign == "/" else a - towards_zero * b
        if sign == "%":  # of the least int by -1: its quotient overflows, and CEL says so of the remainder too
            found = pl.when((a == -(2**63)) & (b == -1)).then(None).otherwise(found)
    else:
        found = {"+": a + b, "-": a - b, "*": a * b}[sign]
    return found.cast(pl.Int64, strict=False)


def _negative(a: _Column) -> _Column:
    if a.kind == "double":
        return _Column(-a.expr, "double", _any(a))
    if a.kind != "int":
        raise NotColumnar(f"it negates a {a.kind}")
    return _Column((pl.lit(0, dtype=_WIDE) - a.expr.cast(_WIDE)).cast(pl.Int64, strict=False), "int", Null.ERROR)


def _double(a: _Column) -> _Column:
    if a.kind not in _NUMBERS:
        raise NotColumnar(f"it makes a double of a {a.kind}")
    return _Column(a.expr.cast(pl.Float64), "double", _any(a))


def _size(a: _Column) -> _Column:
    if a.kind != "string":
        raise NotColumnar(f"it uses the size of a {a.kind}")
    return _Column(a.expr.str.len_chars().cast(pl.Int64), "int", _any(a))


def _text(name: str) -> Callable[[_Column, _Column], _Column]:
    def ask(a: _Column, b: _Column) -> _Column:
        if name == "contains":
            return _Column(a.expr.str.contains(b.expr, literal=True), "bool", _any(a, b))
        found = a.expr.str.starts_with(b.expr) if name == "startsWith" else a.expr.str.ends_with(b.expr)
        return _Column(found, "bool", _any(a, b))

    return ask


_HANDLERS: Mapping[tuple[str, int], Callable[..., _Column]] = {
    ("_&&_", 2): _and,
    ("_||_", 2): _or,
    ("!_", 1): _not,
    ("_?_:_", 3): _choice,
    ("_==_", 2): _equal,
    ("_!=_", 2): _unequal,
    ("-_", 1): _negative,
    ("double", 1): _double,
    ("size", 1): _size,
    **{(f"_{sign}_", 2): _compared(sign) for sign in _ALIKE},
    **{(f"_{sign}_", 2): _arithmetic(sign) for sign in ("+", "-", "*", "/", "%")},
    **{(name, 2): _text(name) for name in ("startsWith", "endsWith", "contains")},
}
