"""Confluent's Python client and serializers, against the real registry behind its front."""

import asyncio
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka.schema_registry import (
    AsyncSchemaRegistryClient,
    ConfigCompatibilityLevel,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    SchemaRegistryError,
    ServerConfig,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from infra.stack.harness import Stack

pytestmark = pytest.mark.stack


def record(name: str, *fields: tuple[str, object], **more: object) -> str:
    named = [{"name": field, "type": kind} for field, kind in fields]
    return json.dumps({"type": "record", "name": name, "namespace": "client", "fields": named} | more)


ONE = record("Reading", ("unit", "string"))
TWO = json.dumps(
    json.loads(ONE) | {"fields": [{"name": "unit", "type": "string"}, {"name": "at", "type": "long", "default": 0}]}
)
OTHER = record("Reading", ("unit", "int"))


@pytest.fixture
def topic() -> str:
    return f"client-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def registry(stack: Stack) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": stack.settings.registry, "max.retries": 0})


def value_of(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE)


def code_of(error: pytest.ExceptionInfo[SchemaRegistryError]) -> tuple[int, int]:
    return error.value.http_status_code, error.value.error_code


def test_schemas_are_registered_found_and_read(registry: SchemaRegistryClient, topic: str) -> None:
    one, two = Schema(ONE, "AVRO"), Schema(TWO, "AVRO")
    first = registry.register_schema(topic, one)
    assert registry.register_schema(topic, one, normalize_schemas=True) == first
    second = registry.register_schema_full_response(topic, two).schema_id
    assert second != first
    registry.clear_caches()
    assert json.loads(registry.get_schema(first).schema_str) == json.loads(ONE)
    assert json.loads(registry.get_schema(second, subject_name=topic).schema_str) == json.loads(TWO)
    found = registry.lookup_schema(topic, one)
    assert (found.subject, found.version, found.schema_id) == (topic, 1, first)
    assert registry.lookup_schema(topic, two, normalize_schemas=True, deleted=True).version == 2
    latest = registry.get_latest_version(topic)
    assert (latest.version, latest.schema_id) == (2, second)
    assert registry.get_version(topic, 1).schema_id == first
    assert registry.get_version(topic, "latest").schema_id == second
    assert registry.get_versions(topic) == [1, 2]
    assert topic in registry.get_subjects()
    assert topic in registry.get_subjects_by_schema_id(first)
    assert (topic, 1) in {(one.subject, one.version) for one in registry.get_schema_versions(first)}
    assert registry.get_schema_types() == ["AVRO", "JSON", "PROTOBUF"]
    assert registry.get_contexts() == ["."]


def test_faults_have_their_numbers(registry: SchemaRegistryClient, topic: str) -> None:
    with pytest.raises(SchemaRegistryError) as error:
        registry.get_latest_version(topic)
    assert code_of(error) == (404, 40401)
    with pytest.raises(SchemaRegistryError) as error:
        registry.get_schema(2**31 - 1)
    assert code_of(error) == (404, 40403)
    with pytest.raises(SchemaRegistryError) as error:
        registry.get_schema_by_guid(str(uuid.uuid4()))
    assert code_of(error) == (404, 40403)
    registry.register_schema(topic, Schema(ONE, "AVRO"))
    with pytest.raises(SchemaRegistryError) as error:
        registry.get_version(topic, 9)
    assert code_of(error) == (404, 40402)
    with pytest.raises(SchemaRegistryError) as error:
        registry.register_schema(topic, Schema(OTHER, "AVRO"))
    assert code_of(error) == (409, 409)
    with pytest.raises(SchemaRegistryError) as error:
        registry.register_schema(topic, Schema('{"type":"nothing"}', "AVRO"))
    assert code_of(error) == (422, 42201)
    with pytest.raises(SchemaRegistryError) as error:
        registry.get_latest_with_metadata(topic, {"owner": "me", "team": "us"})
    assert code_of(error) == (404, 40403)


def test_levels_modes_and_tests(registry: SchemaRegistryClient, topic: str) -> None:
    assert registry.get_compatibility() == "BACKWARD"
    assert registry.get_global_mode() == "READWRITE"
    with pytest.raises(SchemaRegistryError) as error:
        registry.get_compatibility(topic)
    assert code_of(error) == (404, 40408)
    assert registry.register_schema(topic, Schema(ONE, "AVRO"))
    assert registry.test_compatibility(topic, Schema(TWO, "AVRO"), verbose=True)
    assert not registry.test_compatibility(topic, Schema(OTHER, "AVRO"), version=1, normalize=True)
    assert registry.test_compatibility_all_versions(topic, Schema(TWO, "AVRO"))
    assert not registry.test_compatibility_all_versions(topic, Schema(OTHER, "AVRO"), verbose=True)
    registry.set_compatibility(topic, "none")
    assert registry.get_compatibility(topic) == "NONE"
    registry.set_config(topic, ServerConfig(compatibility=ConfigCompatibilityLevel.FULL))
    assert registry.get_config(topic).compatibility_level == "FULL"
    assert registry.delete_config(topic).compatibility_level == "FULL"
    assert registry.update_mode(topic, "READONLY") == "READONLY"
    assert registry.get_mode(topic) == "READONLY"
    with pytest.raises(SchemaRegistryError) as error:
        registry.register_schema(topic, Schema(TWO, "AVRO"))
    assert code_of(error) == (422, 42205)
    assert registry.delete_mode(topic) == "READONLY"
    assert registry.register_schema(topic, Schema(TWO, "AVRO"))


def test_versions_and_subjects_are_deleted(registry: SchemaRegistryClient, topic: str) -> None:
    first = registry.register_schema(topic, Schema(ONE, "AVRO"))
    registry.register_schema(topic, Schema(TWO, "AVRO"))
    assert registry.delete_version(topic, 1) == 1
    assert registry.get_versions(topic) == [2]
    assert registry.get_versions(topic, deleted=True) == [1, 2]
    assert registry.get_version(topic, 1, deleted=True).schema_id == first
    registry.clear_caches()  # or the client itself fails, at a version that it remembers
    assert registry.delete_version(topic, 1, permanent=True) == 1
    assert registry.delete_subject(topic) == [2]
    assert topic not in registry.get_subjects()
    assert topic in registry.get_subjects(deleted=True)
    assert registry.delete_subject(topic, permanent=True) == [2]
    assert topic not in registry.get_subjects(deleted=True)


def test_references(registry: SchemaRegistryClient, topic: str) -> None:
    registry.register_schema(f"{topic}-part", Schema(record("Part", ("x", "int")), "AVRO"))
    refers = [SchemaReference("client.Part", f"{topic}-part", 1)]
    whole = Schema(record("Whole", ("part", "client.Part")), "AVRO", refers)
    number = registry.register_schema(f"{topic}-value", whole)
    assert registry.get_referenced_by(f"{topic}-part", 1) == [number]
    registry.clear_caches()
    assert registry.get_schema(number).references == refers
    serialize = AvroSerializer(registry, whole, conf={"auto.register.schemas": False})
    framed = serialize({"part": {"x": 7}}, value_of(topic))
    assert framed is not None
    assert framed[:5] == b"\0" + number.to_bytes(4, "big")
    assert AvroDeserializer(registry)(framed, value_of(topic)) == {"part": {"x": 7}}
    with pytest.raises(SchemaRegistryError) as error:
        registry.delete_subject(f"{topic}-part")
    assert code_of(error) == (422, 42206)


@pytest.mark.parametrize(
    "conf",
    [
        {"auto.register.schemas": True},
        {"auto.register.schemas": True, "normalize.schemas": True},
        {"auto.register.schemas": False},
        {"auto.register.schemas": False, "normalize.schemas": True},
        {"auto.register.schemas": False, "use.latest.version": True},
        {"auto.register.schemas": False, "use.latest.version": True, "normalize.schemas": True},
    ],
    ids=lambda conf: " ".join(name for name, on in conf.items() if on) or "no registering",
)
def test_serializers(stack: Stack, registry: SchemaRegistryClient, topic: str, conf: dict[str, bool]) -> None:
    if not conf["auto.register.schemas"]:
        registry.register_schema(f"{topic}-value", Schema(ONE, "AVRO"))
    framed = AvroSerializer(registry, ONE, conf=conf)({"unit": "Cel"}, value_of(topic))
    elsewhere = SchemaRegistryClient({"url": stack.settings.registry})
    assert AvroDeserializer(elsewhere, TWO)(framed, value_of(topic)) == {"unit": "Cel", "at": 0}
    assert registry.get_latest_version(f"{topic}-value").version == 1


def test_the_client_without_threads(stack: Stack, topic: str) -> None:
    async def use() -> None:
        async with AsyncSchemaRegistryClient({"url": stack.settings.registry}) as registry:
            number = await registry.register_schema(topic, Schema(ONE, "AVRO"))
            assert (await registry.lookup_schema(topic, Schema(ONE, "AVRO"))).schema_id == number
            assert (await registry.get_latest_version(topic)).version == 1
            assert await registry.test_compatibility(topic, Schema(TWO, "AVRO"))
            assert await registry.delete_subject(topic) == [1]

    asyncio.run(use())


def test_names_with_slashes_and_letters_of_all_kinds(registry: SchemaRegistryClient, topic: str) -> None:
    for name in (f"{topic}/a", f"{topic}-grüße", f"{topic} ☃?#%"):
        number = registry.register_schema(name, Schema(ONE, "AVRO"))
        assert registry.get_latest_version(name).schema_id == number
        assert name in registry.get_subjects()


def test_the_address_of_before_still_works(stack: Stack, topic: str) -> None:
    old = SchemaRegistryClient({"url": f"{stack.settings.registry}/apis/ccompat/v7"})
    number = old.register_schema(topic, Schema(ONE, "AVRO"))
    assert SchemaRegistryClient({"url": stack.settings.registry}).get_latest_version(topic).schema_id == number


def test_one_of_many_that_come_at_once_makes_the_version(stack: Stack, topic: str) -> None:
    """Also of a schema that Apicurio takes for an old one, since only an alias is new."""
    first = SchemaRegistryClient({"url": stack.settings.registry}).register_schema(topic, Schema(ONE, "AVRO"))
    aliased = Schema(json.dumps(json.loads(ONE) | {"aliases": ["Older"]}), "AVRO")
    with ThreadPoolExecutor(8) as pool:
        clients = [SchemaRegistryClient({"url": stack.settings.registry}) for _ in range(8)]
        numbers = set(pool.map(lambda client: client.register_schema(topic, aliased), clients))
    assert len(numbers) == 1
    assert numbers != {first}
    assert clients[0].get_versions(topic) == [1, 2]
