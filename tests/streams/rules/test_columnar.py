"""The columnar translation says of every row what Google's evaluator says of it."""

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from schemas.rules.checking import compile_expression
from schemas.rules.inputs import Variable
from streams.rules.columnar import NotColumnar, columnar
from streams.rules.dtypes import DTYPES
from streams.rules.single import Single

KINDS = {
    "i": "int",
    "j": "int",
    "x": "double",
    "y": "double",
    "s": "string",
    "t": "string",
    "b": "bool",
    "c": "bool",
    "at": "timestamp",
}
VARIABLES = {name: Variable(kind, True, name) for name, kind in KINDS.items()}
INTS = st.sampled_from([0, 1, -1, 2, 3, -7, 100, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)
DOUBLES = st.sampled_from([0.0, -0.0, 1.0, 2.5, -7.0, 2.0**53, math.nan, math.inf, -math.inf]) | st.floats()
STRINGS = st.sampled_from(["", "a", "b", "ab", "é", "\u65e5\u672c", "\U0001f600", "e\u0301"]) | st.text(max_size=4)
TIMES = st.sampled_from([0, 1, 1_600_000_000_000_000, 7_258_118_399_999_999])
VALUES = {"int": INTS, "double": DOUBLES, "string": STRINGS, "bool": st.booleans(), "timestamp": TIMES}


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


def literal(kind: str) -> st.SearchStrategy[str]:
    if kind == "int":
        return st.integers(-9, 300).map(str)
    if kind == "double":
        return st.floats(-1e6, 1e6).map(lambda value: f"{value:.6f}")
    if kind == "string":
        return STRINGS.filter(lambda text: not any(0xD800 <= ord(each) < 0xE000 for each in text)).map(quoted)
    if kind == "bool":
        return st.sampled_from(["true", "false"])
    return st.just('timestamp("2020-09-13T12:26:40.000001Z")')


def plain(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name for name, its in KINDS.items() if its == kind]) | literal(kind)


def conditions(of: dict[str, st.SearchStrategy[str]]) -> list[st.SearchStrategy[str]]:
    number = of["int"] | of["double"]
    return [
        st.builds("({} {} {})".format, of["bool"], st.sampled_from(["&&", "||", "==", "!="]), of["bool"]),
        st.builds("(!{})".format, of["bool"]),
        *(
            st.builds("({} {} {})".format, each, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), each)
            for each in (number, of["string"], of["timestamp"])
        ),
        st.builds("({} - {} {} duration('300s'))".format, of["timestamp"], of["timestamp"], st.sampled_from(["<", ">="])),
        st.builds("({} {} null)".format, st.sampled_from(list(KINDS)), st.sampled_from(["==", "!="])),
        st.builds("({} in [{}, {}])".format, number, literal("int"), literal("int")),
        st.builds("({} in [{}, {}])".format, number, literal("double"), literal("double")),
        st.builds("({} in [{}, {}])".format, of["string"], literal("string"), literal("string")),
        st.builds("{}.{}({})".format, of["string"], st.sampled_from(["startsWith", "endsWith", "contains"]), of["string"]),
    ]


def expressions(kind: str, depth: int) -> st.SearchStrategy[str]:
    """Texts of expressions of a kind, at most so deep."""
    if depth == 0:
        return plain(kind)
    of = {name: expressions(name, depth - 1) for name in ("int", "double", "string", "bool", "timestamp")}
    number = of["int"] | of["double"]
    choice = st.builds("({} ? {} : {})".format, of["bool"], of[kind], of[kind])
    deeper = {
        "int": [
            st.builds("({} {} {})".format, of["int"], st.sampled_from("+-*/%"), of["int"]),
            st.builds("(-{})".format, plain("int")),
            st.builds("size({})".format, of["string"]),
        ],
        "double": [
            st.builds("({} {} {})".format, of["double"], st.sampled_from("+-*/"), number),
            st.builds("({} {} {})".format, of["int"], st.sampled_from("+-*/"), of["double"]),
            st.builds("(-({}))".format, of["double"]),
            st.builds("double({})".format, number),
        ],
        "string": [st.builds("({} + {})".format, of["string"], of["string"])],
        "timestamp": [],
        "bool": conditions(of),
    }
    return st.one_of(plain(kind), choice, *deeper[kind])


ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | VALUES[kind] for name, kind in KINDS.items()}), min_size=1, max_size=12
)


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={name: DTYPES[kind] for name, kind in KINDS.items()})


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expressions("bool", 3) | expressions("double", 2) | expressions("int", 2), ROWS)
def test_columns_and_records_give_the_same(text: str, rows: list[dict[str, Any]]) -> None:
    expression = compile_expression(text, VARIABLES, metrics=False)
    data = frame(rows)
    try:
        translated = columnar(expression)
    except NotColumnar:
        event("not columnar")
        return
    ours = data.select(translated.alias("found").cast(DTYPES[expression.kind])).to_series()
    if len(ours) == 1:
        ours = ours.extend_constant(ours[0], data.height - 1)
    theirs, failures = Single(expression).column(data)
    assert failures == ()
    for row, one, other in zip(rows, ours.to_list(), theirs.to_list(), strict=True):
        assert same(one, other), (text, row, one, other)


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("x > 100", {"x": 100.5}, True),
        ("x > 100", {"x": math.nan}, False),
        ("x > 100", {}, None),
        ("x > 100 || b", {"b": True}, True),
        ("x > 100 && b", {"b": False}, False),
        ("x > 100 && b", {"b": True}, None),
        ("i + 1 > 0", {"i": 2**63 - 1}, None),
        ("i / 0 == 1", {"i": 1}, None),
        ("i / -1 > 0", {"i": -(2**63)}, None),
        ("-7 / i == -3", {"i": 2}, True),
        ("-7 % i == -1", {"i": 2}, True),
        ("x / 0 > 1", {"x": 1.0}, True),
        ("x == x", {"x": math.nan}, False),
        ("x != x", {"x": math.nan}, True),
        ("x == null", {}, True),
        ("x == 1", {}, False),
        ("i < 1.5", {"i": 1}, True),
        ("x * 9 / 5 + 32 > 212", {"x": 100.1}, True),
        ("size(s) == 1", {"s": "\U0001f600"}, True),
        ("s < '\U0001f600'", {"s": "\uffff"}, True),
        ("i in [1.0, 2.0]", {"i": 2}, True),
        ("x in [1, 2]", {"x": 2.0}, True),
        ("at > timestamp('2020-01-01T00:00:00Z')", {"at": 1_600_000_000_000_000}, True),
    ],
)
def test_what_a_person_expects(text: str, row: dict[str, Any], expected: bool | None) -> None:
    expression = compile_expression(text, VARIABLES, metrics=False)
    data = frame([{**dict.fromkeys(KINDS), **row}])
    assert data.select(columnar(expression)).item() is expected
    assert Single(expression).column(data)[0].item() is expected


@pytest.mark.parametrize(
    "text", ["s.matches('a+')", "[1, 2].exists(n, n > i)", "s in {'a': 1}", "{'a': 1}[s] == 1", "string(i) == '1'"]
)
def test_the_rest_is_left_to_google_s_evaluator(text: str) -> None:
    expression = compile_expression(text, VARIABLES, metrics=False)
    with pytest.raises(NotColumnar):
        columnar(expression)
    data = frame([{**dict.fromkeys(KINDS), "i": 1, "s": "a"}])
    assert Single(expression).column(data)[0].item() is True


@pytest.mark.parametrize("height", [1, 2, 5])
@pytest.mark.parametrize("text", ["x / 3", "x / y"])
def test_division_rounds_once_in_frames_of_any_height(text: str, height: int) -> None:
    data = frame([{**dict.fromkeys(KINDS), "x": 2251799813685247.0, "y": 3.0}] * height)
    expression = compile_expression(text, VARIABLES, metrics=False)
    assert data.select(columnar(expression)).to_series().to_list() == [2251799813685247.0 / 3] * height
    assert Single(expression).column(data)[0].to_list() == [2251799813685247.0 / 3] * height
