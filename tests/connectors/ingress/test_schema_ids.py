"""What the ingress knows of schemas outlives the registry, and the ingress."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors.ingress.known_schemas import LARGEST, MOST, MOST_BYTES, KnownSchemas
from connectors.ingress.schema_ids import SchemaIds, SchemaRefused
from connectors.ports import Away, UnknownSchema
from schemas.contract import load
from tests.connectors.ingress.fakes import FakeRegistry

TOPIC = load().topics["fleet.telemetry"]
SCHEMA = {"type": "record", "name": "Free", "fields": [{"name": "a", "type": "string"}]}
OTHER = {"type": "string"}


class Forgetful(FakeRegistry):
    """A registry whose schemas were deleted, or that refuses them."""

    def __init__(self) -> None:
        super().__init__()
        self.forgot = self.refuses = False

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        if self.refuses:
            raise SchemaRefused("read-only mode (42205)")
        return super().register(subject, schema)

    def schema(self, schema_id: int) -> dict[str, Any]:
        if self.forgot:
            raise UnknownSchema(f"the registry has no schema {schema_id}")
        return super().schema(schema_id)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ids.json"


@pytest.fixture
def registry() -> Forgetful:
    return Forgetful()


def test_known_ids_and_schemas_are_used_while_the_registry_is_away(file: Path, registry: Forgetful) -> None:
    before = SchemaIds(registry, file)
    of_contract, of_text = before.of(TOPIC, TOPIC.record), before.register("free-value", SCHEMA)
    registry.away = True
    for ids in (before, SchemaIds(registry, file)):  # the same process, and the next
        assert ids.of(TOPIC, TOPIC.record) == of_contract
        assert ids.register("free-value", SCHEMA) == of_text
        assert ids.schema(of_contract) == TOPIC.record.schema
        assert ids.schema(of_text) == SCHEMA
        with pytest.raises(Away):
            ids.register("free-value", OTHER)
        with pytest.raises(Away):
            ids.register("another-value", SCHEMA)
        with pytest.raises(Away):
            ids.schema(99)


def test_a_schema_that_was_looked_up_by_id_is_known(file: Path, registry: Forgetful) -> None:
    number = registry.register("free-value", SCHEMA)
    assert SchemaIds(registry, file).schema(number) == SCHEMA
    registry.away = True
    assert SchemaIds(registry, file).schema(number) == SCHEMA


def test_a_schema_that_was_deleted_is_still_known(file: Path, registry: Forgetful) -> None:
    number = SchemaIds(registry, file).register("free-value", SCHEMA)
    registry.forgot = True
    ids = SchemaIds(registry, file)
    assert ids.schema(number) == SCHEMA
    with pytest.raises(UnknownSchema):
        ids.schema(99)


def test_a_known_schema_that_is_refused_now_is_still_written(file: Path, registry: Forgetful) -> None:
    number = SchemaIds(registry, file).register("free-value", SCHEMA)
    registry.refuses = True
    ids = SchemaIds(registry, file)
    assert ids.register("free-value", SCHEMA) == number
    with pytest.raises(SchemaRefused):
        ids.register("free-value", OTHER)


def test_the_word_of_a_registry_made_anew_counts(file: Path, registry: Forgetful) -> None:
    assert SchemaIds(registry, file).register("free-value", SCHEMA) == 1
    anew = FakeRegistry()
    anew.register("x", OTHER)
    ids = SchemaIds(anew, file)
    assert ids.register("free-value", SCHEMA) == 2
    assert ids.schema(1) == OTHER
    anew.away = True
    after = SchemaIds(anew, file)
    assert after.register("free-value", SCHEMA) == 2
    assert after.schema(1) == OTHER


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"ids"'])
def test_a_file_that_is_none_is_made_anew(file: Path, registry: Forgetful, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    assert SchemaIds(registry, file).register("free-value", SCHEMA) == 1
    registry.away = True
    assert SchemaIds(registry, file).register("free-value", SCHEMA) == 1


def test_schemas_that_clients_give_do_not_push_out_the_contract_s(file: Path, registry: Forgetful) -> None:
    ids = SchemaIds(registry, file)
    number = ids.of(TOPIC, TOPIC.record)
    for one in range(MOST + 1):
        ids.register(f"s-{one}", SCHEMA)
    registry.away = True
    assert SchemaIds(registry, file).of(TOPIC, TOPIC.record) == number


def test_a_file_of_before_is_read(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"fleet.telemetry-x abc": 7}))
    assert KnownSchemas(file).id_of("fleet.telemetry-x abc") == 7


def test_the_file_holds_the_newest(file: Path) -> None:
    known = KnownSchemas(file)
    for number in range(MOST + 1):
        known.keep(f"s {number}", number, SCHEMA)
    again = KnownSchemas(file)
    assert (again.id_of("s 0"), again.schema_of(0)) == (None, None)
    assert (again.id_of("s 1"), again.schema_of(1)) == (1, SCHEMA)
    assert len(json.loads(file.read_text())["ids"]) == MOST


def test_the_file_is_bounded(file: Path) -> None:
    def enum(letters: int) -> dict[str, Any]:
        return {"type": "enum", "name": "E", "symbols": ["A" * letters]}

    known = KnownSchemas(file)
    known.keep("small", 0, OTHER)
    known.keep("too large", 1, enum(LARGEST))
    assert (known.id_of("too large"), known.schema_of(0), known.schema_of(1)) == (1, OTHER, None)
    for number in range(2, 11):
        known.keep(None, number, enum(LARGEST - 100))
    assert (known.schema_of(0), known.schema_of(2), known.schema_of(10)) == (None, None, enum(LARGEST - 100))
    assert file.stat().st_size < 1.1 * MOST_BYTES
