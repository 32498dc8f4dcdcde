"""CEL as rules speak it: Google's, with numbers of different types side by side, and functions over windows.

Standard CEL refuses `temperature > 100`, a double beside an int. Here the type checker is told that such pairs are fine:
for comparisons Google's evaluator has them anyhow, and for arithmetic `schemas.rules.expression` makes a double of the int
before anything is evaluated. What is evaluated is plain CEL.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import product
from typing import Any

from cel_expr_python import cel

NUMBERS = {"int64": "int", "uint64": "uint", "double": "double"}
COMPARISONS = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}
EQUALITIES = {"_==_": "equals", "_!=_": "not_equals"}
ARITHMETIC = {"_+_": "add", "_-_": "subtract", "_*_": "multiply", "_/_": "divide"}
OVER_WINDOW = ("last", "avg", "min", "max", "sum", "delta", "rate")
"""Functions of a number over a window."""
COUNT, ABSENT_FOR, DISTANCE, METRIC = "count", "absent_for", "distance", "metric"
FUNCTIONS = (*OVER_WINDOW, COUNT, ABSENT_FOR, DISTANCE, METRIC)

_ORDERED = ("bool", "string", "bytes", "timestamp", "duration")
_SPANS = ("duration", "string")
_TYPES = {
    "bool": cel.Type.BOOL,
    "int": cel.Type.INT,
    "uint": cel.Type.UINT,
    "double": cel.Type.DOUBLE,
    "string": cel.Type.STRING,
    "bytes": cel.Type.BYTES,
    "timestamp": cel.Type.TIMESTAMP,
    "duration": cel.Type.DURATION,
    "list": cel.Type.List(cel.Type.DYN),
    "labels": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    "dyn": cel.Type.DYN,
}
_WRAPPERS = {
    name: cel.Type(f"google.protobuf.{wrapper}Value")
    for name, wrapper in (("bool", "Bool"), ("int", "Int64"), ("double", "Double"), ("string", "String"), ("bytes", "Bytes"))
}


def environment(variables: Mapping[str, tuple[str, bool]]) -> Any:
    """What expressions are checked in. `variables`: the CEL type of each, and whether it may be null."""
    types = {name: _WRAPPERS.get(kind, _TYPES[kind]) if null else _TYPES[kind] for name, (kind, null) in variables.items()}
    return cel.NewEnv(config=cel.NewEnvConfigFromYaml(_config()), variables=types, functions=_functions())


def evaluator(variables: Mapping[str, str]) -> Any:
    """What checked expressions are evaluated in: plain CEL. Variables but times go untyped, as they may be null."""
    timed = {"timestamp": cel.Type.TIMESTAMP, "duration": cel.Type.DURATION}
    made = cel.NewEnv(variables={name: timed.get(kind, cel.Type.DYN) for name, kind in variables.items()})
    made.compile("true")  # until it has compiled something it takes no times as values of what it deserializes
    return made


@cache
def _config() -> str:
    """The standard library with other overloads of its operators, as an environment is configured (in JSON)."""
    functions = {**_comparisons(), **_equalities(), **_arithmetic(), "@in": _membership()}
    declared = [
        {
            "name": name,
            "overloads": [
                {"id": overload, "args": [_argument(kind) for kind in arguments], "return": _argument(result)}
                for overload, arguments, result in overloads
            ],
        }
        for name, overloads in functions.items()
    ]
    return json.dumps({"stdlib": {"exclude_functions": [{"name": name} for name in functions]}, "functions": declared})


Overload = tuple[str, tuple[str, ...], str]
"""Its id, the types of its arguments, and that of its result."""


def _argument(name: str) -> dict[str, Any]:
    if name in ("A", "B"):
        return {"type_name": name, "is_type_param": True}
    kind, _, params = name.removesuffix(")").partition("(")
    return {"type_name": kind, "params": [_argument(param) for param in params.split(", ") if param]}


def _named(name: str, first: str, second: str) -> str:
    return f"{name}_{first}" if first == second else f"{name}_{first}_{second}"


def _pairs(name: str) -> list[Overload]:
    return [(_named(name, a, b), (NUMBERS[a], NUMBERS[b]), "") for a, b in product(NUMBERS, NUMBERS)]


def _comparisons() -> dict[str, list[Overload]]:
    return {
        operator: [
            *((overload, arguments, "bool") for overload, arguments, _ in _pairs(name)),
            *((f"{name}_{kind}", (kind, kind), "bool") for kind in _ORDERED),
        ]
        for operator, name in COMPARISONS.items()
    }


def _equalities() -> dict[str, list[Overload]]:
    # Of wrapped numbers too: a nullable int beside a nullable double.
    kinds = {"int64": "int_wrapper", "uint64": "uint_wrapper", "double": "double_wrapper"}
    return {
        operator: [
            (name, ("A", "A"), "bool"),
            *((f"{name}_{a}_{b}", (kinds[a], kinds[b]), "bool") for a, b in product(kinds, kinds) if a != b),
        ]
        for operator, name in EQUALITIES.items()
    }


def _arithmetic() -> dict[str, list[Overload]]:
    found = {}
    for operator, name in ARITHMETIC.items():
        numbers = [
            (overload, arguments, arguments[0] if arguments[0] == arguments[1] else "double")
            for overload, arguments, _ in _pairs(name)
            if not {"int", "uint"} <= set(arguments)  # between these a sign would be lost
        ]
        found[operator] = [*numbers, *_others(operator)]
    return found


def _others(operator: str) -> list[Overload]:
    if operator == "_+_":
        texts: list[Overload] = [(f"add_{kind}", (kind, kind), kind) for kind in ("string", "bytes")]
        times: list[Overload] = [
            ("add_duration_duration", ("duration", "duration"), "duration"),
            ("add_duration_timestamp", ("duration", "timestamp"), "timestamp"),
            ("add_timestamp_duration", ("timestamp", "duration"), "timestamp"),
        ]
        return [*texts, ("add_list", ("list(A)", "list(A)"), "list(A)"), *times]
    if operator == "_-_":
        return [
            ("subtract_duration_duration", ("duration", "duration"), "duration"),
            ("subtract_timestamp_duration", ("timestamp", "duration"), "timestamp"),
            ("subtract_timestamp_timestamp", ("timestamp", "timestamp"), "duration"),
        ]
    return []


def _membership() -> list[Overload]:
    return [
        ("in_list", ("A", "list(A)"), "bool"),
        ("in_map", ("A", "map(A, B)"), "bool"),
        ("in_double_list_int", ("double", "list(int)"), "bool"),
        ("in_int_list_double", ("int", "list(double)"), "bool"),
    ]


Declared = list[tuple[tuple[str, ...], Any]]
"""Overloads of a function of rules: the types of its arguments and that of its result."""


def _functions() -> list[Any]:
    """The functions of rules. They have no implementation: none is left when an expression is evaluated."""
    number, wrapped, whole = ("double", "int"), _WRAPPERS["double"], _TYPES["int"]
    over: dict[str, Declared] = {
        name: [((kind, span), wrapped) for kind, span in product(number, _SPANS)] for name in OVER_WINDOW
    }
    counted: Declared = [((span,), whole) for span in _SPANS]
    counted += [((kind, span), whole) for kind, span in product(("bool", *number), _SPANS)]
    absent: Declared = [((span,), _TYPES["bool"]) for span in _SPANS]
    degrees = [(pair, wrapped) for pair in product(number, number)]
    apart = [(("double", "double", *pair), wrapped) for pair in product(number, number)]
    declared: dict[str, Declared] = {
        **over,
        COUNT: counted,
        ABSENT_FOR: absent,
        DISTANCE: [*degrees, *apart],
        METRIC: [(("string",), wrapped)],
    }
    return [cel.FunctionDecl(name, list(_overloads(name, given))) for name, given in declared.items()]


def _overloads(name: str, given: Declared) -> Iterable[Any]:
    for arguments, result in given:
        parameters = [_TYPES[kind] for kind in arguments]
        yield cel.Overload(id="_".join((name, *arguments)), return_type=result, parameters=parameters)
