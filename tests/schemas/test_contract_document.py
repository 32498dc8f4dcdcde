"""docs/contract.md says what is so."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from infra.cli.main import parser
from schemas.codec import encode
from schemas.contract import RecordType, Schema, load
from schemas.released import problems
from schemas.upcasters import Upcasting

TEXT = (Path(__file__).parents[2] / "docs/contract.md").read_text("utf-8")
LONG = {"name": "a", "type": "long"}


def field(type_: Any, **more: Any) -> Schema:
    return {"name": "a", "type": type_, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


MICROS = {"type": "long", "logicalType": "timestamp-micros"}
CHANGES: dict[str, tuple[list[Schema], list[Schema]]] = {  # fields before, and after
    "a field with a default is added": ([], [field("long", default=0)]),
    "a field without a default is added": ([], [LONG]),
    "a field with a default is removed": ([field("long", default=0)], []),
    "a field without a default is removed": ([LONG], []),
    "a field is renamed, with the old name as an alias": ([LONG], [{**LONG, "name": "b", "aliases": ["a"]}]),
    "a number is widened: int, long, float, double in this order": ([field("int")], [field("double")]),
    "string becomes bytes, or bytes string": ([field("string")], [field("bytes")]),
    "a type becomes nullable, or a union grows": ([LONG], [field(["null", "long"])]),
    "an enum grows": ([field(enum("X"))], [field(enum("X", "Y"))]),
    "an enum that has a default grows": ([field(enum("X", default="X"))], [field(enum("X", "Y", default="X"))]),
    "a bound is loosened": ([field("long", maximum=1)], [field("long", maximum=2)]),
    "a bound is tightened": ([field("long", maximum=2)], [field("long", maximum=1)]),
    "a logical type is changed, or a type otherwise": ([LONG], [field(MICROS)]),
}


def rows() -> list[tuple[str, str, str]]:
    table = TEXT.split("| change | `BACKWARD` | `FORWARD` |\n| --- | --- | --- |\n")[1].split("\n\n")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [(change, backward, forward) for change, backward, forward in cells]


def record(fields: list[Schema]) -> RecordType:
    schema = {
        "type": "record",
        "name": "R",
        "namespace": "fleetlog.device",
        "fields": [{"name": "id", "type": "string"}, *fields],
    }
    return RecordType("R", "device", schema)


@pytest.mark.parametrize(("change", "backward", "forward"), rows())
def test_each_row_of_the_table_of_changes(change: str, backward: str, forward: str) -> None:
    before, after = (record(fields) for fields in CHANGES[change])
    for level, allowed in (("BACKWARD", backward), ("FORWARD", forward)):
        assert allowed in ("yes", "no")
        assert (not problems(after, {1: before.schema}, level)) == (allowed == "yes"), level


def test_the_table_names_all_changes() -> None:
    assert {change for change, _, _ in rows()} == set(CHANGES)


def commands() -> list[str]:
    return [found for found in re.findall(r"`fleetlog ([^`]+)`", TEXT) if found != "topics diff"]


@pytest.mark.parametrize("command", commands())
def test_each_command_is_one(command: str) -> None:
    assert parser().parse_args(shlex.split(command)).run


def test_there_are_commands() -> None:
    assert len(commands()) >= 8


def test_the_upcaster_of_the_example_upcasts() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    scope: dict[str, Any] = {}
    exec(compile(code, "docs/contract.md", "exec"), scope)
    (step,) = scope["UPCASTERS"]
    now = load().records[step.record]
    before = {
        **now.schema,
        "fields": [{**one, "unit": "ms"} if one["name"] == "uptime" else one for one in now.schema["fields"]],
    }
    values = _values(now.schema)
    body = encode(now, {**values, "uptime": 5_000})
    assert Upcasting(now, {1: before}, (step,)).decoder(before).decode(body) == {**values, "uptime": 5}


def _values(schema: Schema) -> dict[str, Any]:
    return {one["name"]: _value(one["type"]) for one in schema["fields"]}


def _value(type_: Any) -> Any:
    if isinstance(type_, list):
        return None
    if isinstance(type_, dict):
        return {"record": _values, "array": lambda _: []}.get(type_["type"], lambda one: _value(one["type"]))(type_)
    return {"string": "", "double": 1.5}.get(type_, 7)
