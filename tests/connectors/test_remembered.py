"""A bounded memory: against a model that keeps everything, and on schemas over HTTP."""

import asyncio
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from connectors.ingress.rest_schemas import MOST_CHARACTERS, REMEMBERED_CHARACTERS, RestSchemas
from connectors.ingress.schema_ids import SchemaIds
from connectors.remembered import Remembered
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.served import options, serving

COUNT, COST = 4, 10


@given(st.lists(st.tuples(st.integers(0, 7), st.one_of(st.none(), st.integers(0, 12)))))
def test_it_keeps_the_newest_within_its_bounds(steps: list[tuple[int, int | None]]) -> None:
    """A step asks for a key (None), or adds it at a cost."""
    remembered: Remembered[int, int] = Remembered(COUNT, COST)
    model: list[tuple[int, int, int]] = []  # key, value, cost; the last used is last
    for number, (key, cost) in enumerate(steps):
        held = next((one for one in model if one[0] == key), None)
        if cost is None:
            assert remembered.get(key) == (held and held[1])
            model.sort(key=lambda one: one is held)
        else:
            remembered.add(key, number, cost)
            model = [one for one in model if one is not held] + ([(key, number, cost)] if cost <= COST else [])
            while len(model) > COUNT or sum(one[2] for one in model) > COST:
                model.pop(0)
        assert len(remembered) == len(model)
        assert remembered.cost == sum(one[2] for one in model)


def test_schemas_that_are_too_large_or_too_deep_are_told_so(tmp_path: Path) -> None:
    large = json.dumps({"type": "enum", "name": "E", "symbols": ["A"], "doc": "x" * MOST_CHARACTERS})
    deep = '{"type":"array","items":' * 1000 + '"int"' + "}" * 1000
    record = {"type": "record", "name": "R", "fields": [{"name": "r", "type": ["null", "R"]}]}
    with serving(options(tmp_path)) as served:
        for schema, status in ((large, 422), (deep, 422), (json.dumps(record), 200)):
            body = {"value_schema": schema, "records": [{"value": {"r": None}}]}
            answer = served.post("/topics/free", body, Content_Type="application/vnd.kafka.avro.v2+json")
            assert answer.status_code == status, answer.text
            assert status == 200 or answer.json()["error_code"] == 42205
        assert len(served.producer.sent) == 1


def test_texts_count_as_they_are_given(tmp_path: Path) -> None:
    """A short schema in a long text is remembered under its text."""
    schemas = RestSchemas(SchemaIds(FakeRegistry(), tmp_path / "ids.json"))

    async def ask() -> None:
        for i in range(20):
            assert await schemas.form("free-value", '"int"' + " " * (900_000 + i), None)

    asyncio.run(ask())
    assert len(schemas._forms) == REMEMBERED_CHARACTERS // 900_000
