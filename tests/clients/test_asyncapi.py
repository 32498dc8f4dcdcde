"""The AsyncAPI document: valid by the official schema, true to the contract, the same from the command and the ingress."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from infra import settings
from infra.cli.main import main
from schemas.asyncapi import AVRO_SCHEMA_FORMAT, Addresses, document
from schemas.contract import load
from tests.clients import install
from tests.connectors.ingress.served import options, serving

CONTRACT = load()
ADDRESSES = Addresses("one:9092,two:9092", "http://registry:8081")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return json.loads(json.dumps(document(CONTRACT, ADDRESSES)))


@pytest.fixture(scope="module")
def official() -> jsonschema.Draft7Validator:
    """The schema of AsyncAPI 3.0.0, as its authors publish it (@asyncapi/specs)."""
    path = install.ensure() / "node/node_modules/@asyncapi/specs/schemas/3.0.0.json"
    return jsonschema.Draft7Validator(json.loads(path.read_text("utf-8")))


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for below in value.values():
            yield from references(below)
    elif isinstance(value, list):
        for below in value:
            yield from references(below)


def found_at(made: dict[str, Any], reference: str) -> dict[str, Any]:
    assert reference.startswith("#/")
    for part in reference.removeprefix("#/").split("/"):
        made = made[part]
    return made


def test_it_is_valid_by_the_official_schema(made: dict[str, Any], official: jsonschema.Draft7Validator) -> None:
    official.validate(made)
    official.validate(document(CONTRACT))


def test_the_official_schema_refuses_what_is_wrong(made: dict[str, Any], official: jsonschema.Draft7Validator) -> None:
    channel = made["channels"]["fleet.telemetry"]
    kafka = channel["bindings"]["kafka"]
    for wrong in (
        made | {"asyncapi": "2.6.0"},
        made | {"operations": {"one": {"action": "publish", "channel": {"$ref": "#/channels/fleet.telemetry"}}}},
        made | {"channels": {"fleet.telemetry": channel | {"bindings": {"kafka": kafka | {"partitions": 0}}}}},
        made | {"components": {"schemas": {"A": {"schemaFormat": AVRO_SCHEMA_FORMAT, "schema": {"type": "record"}}}}},
    ):
        assert not official.is_valid(wrong)


def test_every_reference_leads_somewhere(made: dict[str, Any]) -> None:
    found = set(references(made))
    assert all(found_at(made, reference) for reference in found)
    assert {f"#/components/schemas/{name}" for name in CONTRACT.records} <= found


def test_it_names_every_topic_and_record(made: dict[str, Any]) -> None:
    held = {name: set(channel["messages"]) for name, channel in made["channels"].items()}
    assert held == {topic.name: {record.name for record in topic.records} for topic in CONTRACT.topics.values()}
    schemas = made["components"]["schemas"]
    assert {name: one["schema"] for name, one in schemas.items()} == {n: r.schema for n, r in CONTRACT.records.items()}


def test_a_channel_says_what_topics_toml_says(made: dict[str, Any]) -> None:
    channel = made["channels"]["fleet.telemetry"]
    assert (channel["address"], channel["x-access"], channel["x-compatibility"]) == (
        "fleet.telemetry",
        "device",
        "BACKWARD_TRANSITIVE",
    )
    assert channel["description"].endswith("kept for 30 days, then in the archive.")
    kafka = channel["bindings"]["kafka"]
    assert kafka["partitions"] == 6
    settings = {"cleanup.policy": ["delete"], "retention.ms": -1, "max.message.bytes": 12_000_000}
    assert kafka["topicConfiguration"] == settings
    registrations = made["channels"]["fleet.registration.events"]["bindings"]["kafka"]["topicConfiguration"]
    assert registrations["retention.ms"] == -1


def test_a_message_says_how_it_is_read(made: dict[str, Any]) -> None:
    message = made["channels"]["fleet.registration.events"]["messages"]["DeviceRegistered"]
    kafka = message["bindings"]["kafka"]
    assert (kafka["schemaIdLocation"], kafka["schemaIdPayloadEncoding"]) == ("payload", "confluent")
    assert kafka["schemaLookupStrategy"] == "TopicRecordNameStrategy"
    assert message["x-subject"] == "fleet.registration.events-fleetlog.registration.DeviceRegistered"
    assert kafka["key"] == {"type": ["string", "null"], "description": "hardware id, or claim id"}
    assert "headers" not in message  # a decider's events need not have them
    assert message["payload"] == {"$ref": "#/components/schemas/DeviceRegistered"}
    uploaded = made["channels"]["fleet.telemetry"]["messages"]["TelemetryReceived"]
    key = uploaded["bindings"]["kafka"]["key"]
    assert (key["type"], key["maxLength"]) == ("string", 128)
    assert uploaded["headers"]["required"] == ["traceparent"]
    letters = made["channels"]["fleet.dead-letters"]["messages"]["RecordDeadLettered"]
    assert "headers" not in letters
    assert letters["bindings"]["kafka"]["key"]["type"] == ["string", "null"]


def test_every_record_has_examples_with_all_its_fields(made: dict[str, Any]) -> None:
    for channel in made["channels"].values():
        for name, message in channel["messages"].items():
            assert message["examples"]
            for example in message["examples"]:
                assert example["payload"].keys() == CONTRACT.records[name].fields.keys()


def test_producers_send_and_consumers_receive(made: dict[str, Any]) -> None:
    wanted = {
        f"{application}.{action}.{topic.name}"
        for topic in CONTRACT.topics.values()
        for action, applications in (("send", topic.producers), ("receive", topic.consumers))
        for application in applications
    }
    assert made["operations"].keys() == wanted
    operation = made["operations"]["telemetry.receive.fleet.telemetry"]
    assert operation["action"] == "receive"
    assert [found_at(made, one["$ref"])["title"] for one in operation["messages"]] == ["TelemetryReceived"]


def test_each_broker_is_a_server_with_the_registry(made: dict[str, Any]) -> None:
    assert [server["host"] for server in made["servers"].values()] == ["one:9092", "two:9092"]
    assert made["servers"]["broker-0"]["bindings"]["kafka"]["schemaRegistryUrl"] == "http://registry:8081"


def test_the_ingress_serves_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topics", "asyncapi"]) == 0
    printed = json.loads(capsys.readouterr().out)
    usual = settings.load()
    with serving(options(tmp_path, addresses=Addresses(usual.kafka, usual.registry))) as served:
        served.client.headers.pop("X-API-Key")
        answer = served.client.get("/asyncapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == printed
    assert list(printed["channels"]) == list(CONTRACT.topics)
