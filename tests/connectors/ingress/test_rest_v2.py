"""Kafka-REST v2 produce over HTTP, on a producer that does what a test tells it."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
from confluent_kafka import KafkaError

from schemas.wire import PREFIX_BYTES, schema_id
from tests.connectors.ingress.served import CONTRACT, Served, options, serving

USER = {
    "type": "record",
    "name": "User",
    "fields": [{"name": "name", "type": "string"}, {"name": "age", "type": ["null", "int"], "default": None}],
}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(options(tmp_path, request_deadline=0.4)) as running:
        yield running


def produce(served: Served, body: Any, form: str = "json", path: str = "/topics/free", **headers: str) -> httpx.Response:
    return served.post(path, json.dumps(body).encode(), Content_Type=f"application/vnd.kafka.{form}.v2+json", **headers)


def test_json_keys_and_values_are_compact_texts(served: Served) -> None:
    records = [{"key": "k", "value": {"a": [1, 2.5, "ü"]}}, {"value": None}, {"key": 7}, {"value": "x", "partition": 3}]
    answer = produce(served, {"records": records}, traceparent=TRACE)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.kafka.v2+json"
    assert answer.json() == {
        "offsets": [
            {"partition": p, "offset": o, "error_code": None, "error": None} for p, o in ((0, 0), (0, 1), (0, 2), (3, 0))
        ],
        "key_schema_id": None,
        "value_schema_id": None,
    }
    assert [(sent.key, sent.value, sent.partition) for sent in served.producer.sent] == [
        (b'"k"', b'{"a":[1,2.5,"\\u00fc"]}', -1),
        (None, None, -1),
        (b"7", None, -1),
        (None, b'"x"', 3),
    ]
    assert {dict(sent.headers)["traceparent"] for sent in served.producer.sent} == {TRACE.encode()}


def test_binary_is_base64(served: Served) -> None:
    content = bytes(range(256))
    produce(served, {"records": [{"key": "AAE=", "value": base64.b64encode(content).decode()}]}, "binary")
    assert [(sent.key, sent.value) for sent in served.producer.sent] == [(b"\0\1", content)]


def test_a_partition_in_the_path_is_the_partition(served: Served) -> None:
    answer = produce(served, {"records": [{"value": 1}]}, path="/topics/free/partitions/5")
    assert answer.json()["offsets"][0]["partition"] == 5


def test_avro_keys_and_values(served: Served) -> None:
    records = [
        {"key": "k", "value": {"name": "ü", "age": {"int": 7}}},
        {"key": "l", "value": {"name": "x"}},
        {"key": "m", "value": None},
    ]
    answer = produce(served, {"key_schema": '"string"', "value_schema": json.dumps(USER), "records": records}, "avro")
    told = answer.json()
    assert answer.status_code == 200, told
    values = [sent.value for sent in served.producer.sent]
    assert values[2] is None
    parsed = fastavro.parse_schema(USER)
    for value, expected in zip(values, ({"name": "ü", "age": 7}, {"name": "x", "age": None}), strict=False):
        assert value is not None
        assert schema_id(value) == told["value_schema_id"]
        assert fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), parsed, None) == expected
    assert [sent.key and sent.key[PREFIX_BYTES:] for sent in served.producer.sent] == [b"\2k", b"\2l", b"\2m"]
    by_id = {"key_schema_id": told["key_schema_id"], "value_schema_id": told["value_schema_id"], "records": records[:1]}
    again = produce(served, by_id, "avro").json()
    assert again["value_schema_id"] == told["value_schema_id"]
    assert served.producer.sent[-1].value == values[0]


def test_a_request_with_one_value_that_does_not_fit_writes_nothing(served: Served) -> None:
    records = [{"value": {"name": "x"}}, {"value": {"name": 1}}]
    answer = produce(served, {"value_schema": json.dumps(USER), "records": records}, "avro")
    assert (answer.status_code, answer.json()["error_code"]) == (422, 42203)
    assert "$.records[1].value.name" in answer.json()["message"]
    assert served.producer.sent == []


def test_on_a_topic_of_the_contract_the_contract_holds(served: Served) -> None:
    record = CONTRACT.topics["fleet.telemetry"].record
    example = json.loads((Path(__file__).parents[3] / "schemas/examples/TelemetryReceived/edge.json").read_text("utf-8"))[
        "values"
    ]
    body = {"value_schema": json.dumps(record.schema), "records": [{"value": example}]}
    path = "/topics/fleet.telemetry"
    assert produce(served, body, "avro", path).status_code == 200
    assert served.producer.sent[0].key == example["device_id"].encode()
    wrong_key = produce(served, {**body, "records": [{"key": "other", "value": example}]}, "avro", path)
    assert (wrong_key.status_code, wrong_key.json()["error_code"]) == (422, 42203)
    out_of_bounds = produce(served, {**body, "records": [{"value": {**example, "readings": []}}]}, "avro", path)
    assert (out_of_bounds.status_code, out_of_bounds.json()["error_code"]) == (422, 42203)
    assert "$.records[0].value.readings" in out_of_bounds.json()["message"]
    tombstone = produce(served, {**body, "records": [{"value": None}]}, "avro", path)
    assert tombstone.status_code == 422
    other_schema = produce(served, {"value_schema": json.dumps(USER), "records": [{"value": {"name": "x"}}]}, "avro", path)
    assert (other_schema.status_code, other_schema.json()["error_code"]) == (422, 42205)
    assert len(served.producer.sent) == 1


def test_each_record_has_its_result(served: Served) -> None:
    errors = {b"1": KafkaError(KafkaError.NOT_ENOUGH_REPLICAS), b"2": KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)}
    served.producer.error_of = lambda sent: errors.get(sent.value or b"")
    answer = produce(served, {"records": [{"value": 0}, {"value": 1}, {"value": 2}, {"value": 3, "partition": 99}]})
    assert answer.status_code == 200
    offsets = answer.json()["offsets"]
    assert [(one["offset"], one["error_code"]) for one in offsets[:1]] == [(0, None)]
    assert all(one["error"] and one["error_code"] in (1, 2) and one["offset"] is None for one in offsets[1:])
    assert offsets[3]["error_code"] == 1


def test_nothing_written_is_never_200(served: Served) -> None:
    served.producer.error_of = lambda sent: KafkaError(KafkaError.NOT_ENOUGH_REPLICAS)
    refused = produce(served, {"records": [{"value": 1}]})
    assert refused.status_code in (422, 503)
    assert refused.json()["offsets"][0]["error"]
    served.producer.hold = True
    late = produce(served, {"records": [{"value": 1}]})
    assert (late.status_code, late.json()["error_code"], late.headers["retry-after"]) == (503, 50003, "2")
    served.producer.away = "no broker"
    away = produce(served, {"records": [{"value": 1}]})
    assert (away.status_code, away.json()["error_code"], away.headers["retry-after"]) == (503, 50003, "2")
    assert "no broker" in away.json()["message"]


def test_a_registry_that_is_away_is_told(served: Served) -> None:
    served.registry.away = True
    answer = produce(served, {"value_schema": '"int"', "records": [{"value": 1}]}, "avro")
    assert (answer.status_code, answer.json()["error_code"], answer.headers["retry-after"]) == (408, 40801, "2")
    assert served.producer.sent == []
