"""One spelling for each schema: what does not count is gone, everything else is there."""

import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.registry_front.avro_text import NotJson, normal, same

RELEASED = sorted((Path(__file__).parents[3] / "schemas/released").rglob("*.avsc"))
NAMES = st.sampled_from(["A", "B", "C", "D", "E", "F"])
SPACES = st.sampled_from(["", "n", "n.m"])
TEXTS = st.text(max_size=5)


@st.composite
def schemas(draw: st.DrawFn, used: set[str] | None = None, depth: int = 2) -> Any:
    """Avro schemas with attributes of all kinds; each name is defined once."""
    used = set() if used is None else used
    kinds = ["string", "long", "null"] + ["array", "map", "record", "enum", "fixed"] * (depth > 0)
    kind = draw(st.sampled_from(kinds))
    if kind in ("string", "long", "null"):
        return draw(st.sampled_from([kind, {"type": kind}, {"type": kind, "unit": draw(TEXTS)}]))
    more: dict[str, Any] = draw(
        st.fixed_dictionaries({}, optional={"doc": TEXTS, "origin": TEXTS, "aliases": st.just(["Z"])})
    )
    if kind in ("array", "map"):
        part = "items" if kind == "array" else "values"
        return {part: draw(schemas(used, depth - 1)), "type": kind, "origin": "x"}
    name = f"{draw(NAMES)}{len(used)}"
    used.add(name)
    named = draw(st.sampled_from([{"name": f"n.{name}"}, {"name": name, "namespace": draw(SPACES)}, {"name": name}]))
    if kind == "enum":
        return {**more, **named, "symbols": ["X", "Y"], "type": "enum"}
    if kind == "fixed":
        return {"size": 4, **more, **named, "type": "fixed"}
    fields = [
        {
            "type": draw(schemas(used, depth - 1)),
            "name": f"f{i}",
            **draw(st.sampled_from([{}, {"order": "ignore"}, {"doc": "d"}])),
        }
        for i in range(draw(st.integers(0, 3)))
    ]
    return {"fields": fields, **more, **named, "type": "record"}


@given(schemas())
def test_the_spelling_is_the_same_schema_and_its_own_spelling(schema: Any) -> None:
    text = json.dumps(schema, indent=1)
    spelled = normal(text)
    assert normal(spelled) == spelled
    assert same(text, spelled)
    assert fastavro.schema.to_parsing_canonical_form(json.loads(spelled)) == fastavro.schema.to_parsing_canonical_form(
        schema
    )
    assert _told(json.loads(spelled)) == _told(schema), "nothing that counts is lost"


def _told(schema: Any) -> list[str]:
    """Docs, aliases, orders and attributes of no meaning to Avro, anywhere."""
    if isinstance(schema, list):
        return sorted(text for branch in schema for text in _told(branch))
    if not isinstance(schema, dict):
        return []
    own = [f"{name}={schema[name]}" for name in ("doc", "aliases", "order", "origin", "unit") if name in schema]
    return sorted([*own, *(text for value in schema.values() if isinstance(value, dict | list) for text in _told(value))])


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.parent.name)
def test_the_contract_s_schemas_lose_nothing(path: Path) -> None:
    text = path.read_text("utf-8")
    assert fastavro.schema.to_parsing_canonical_form(json.loads(normal(text))) == fastavro.schema.to_parsing_canonical_form(
        json.loads(text)
    )
    assert _told(json.loads(normal(text))) == _told(json.loads(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('"string"', ' {"type" : "string"}'),
        ('{"type":"fixed","name":"a.B","size":2}', '{"size":2,"namespace":"a","name":"B","type":"fixed"}'),
        (
            '{"type":"record","name":"a.R","fields":[{"name":"x","type":{"type":"fixed","name":"F","size":1}},'
            '{"name":"y","type":"F"}]}',
            '{"type":"record","name":"R","namespace":"a","fields":[{"name":"x","type":{"type":"fixed","name":"F",'
            '"namespace":"a","size":1}},{"name":"y","type":"a.F","order":"ascending"}]}',
        ),
        ("no JSON", "no JSON"),
    ],
)
def test_the_same(one: str, other: str) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"type":"string"}', '{"type":"string","unit":"x"}'),
        ('["null","string"]', '["string","null"]'),
        ('{"type":"fixed","name":"B","size":2}', '{"type":"fixed","name":"B","size":2,"doc":""}'),
        ('{"type":"fixed","name":"B","size":2}', '{"type":"fixed","name":"B","size":2,"aliases":["C"]}'),
        ('{"type":"fixed","name":"B","size":2}', '{"type":"fixed","name":"B","namespace":"n","size":2}'),
        ("no JSON", '"string"'),
    ],
)
def test_not_the_same(one: str, other: str) -> None:
    assert not same(one, other)


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "1e999", "1" * 5_000, '{"a":-1e999}'])
def test_what_is_no_json_is_told(text: str) -> None:
    with pytest.raises(NotJson):
        normal(text)


@pytest.mark.parametrize(
    "text", ["7", "null", '{"type":7}', '{"type":"record"}', '{"fields":[7,{}]}', '{"type":"enum","name":7}', "[[]]", "{}"]
)
def test_what_is_json_but_no_schema_stays_what_it_is(text: str) -> None:
    assert json.loads(normal(text)) == json.loads(text)
