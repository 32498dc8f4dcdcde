"""The device API over HTTP, on a producer that does what a test tells it."""

import gzip
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from connectors.memory import MemoryLog
from schemas.codec import decode
from schemas.log import TopicPartition
from schemas.wire import PREFIX_BYTES, schema_id
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.served import CONTRACT, PARTITIONS, Served, options, serving
from tests.connectors.ingress.uploads import MICROS, event, heartbeat, registration, telemetry

PATH = "/v1/devices/d-1/telemetry"


def values_of(served: Served, number: int = -1) -> dict[str, Any]:
    """What the record with this number says, by the schema that it names."""
    value = served.producer.sent[number].value
    assert value is not None
    return decode(served.registry.schema(schema_id(value)), value[PREFIX_BYTES:])


@pytest.mark.parametrize(
    ("path", "upload", "topic", "key"),
    [
        ("/v1/devices/d-1/telemetry", telemetry(), "fleet.telemetry", b"d-1"),
        ("/v1/devices/d-1/heartbeat", heartbeat(), "fleet.heartbeats", b"d-1"),
        ("/v1/devices/d-1/events", event(), "fleet.device-events", b"d-1"),
        ("/v1/devices", registration(), "fleet.registration.events", b"hw-1"),
    ],
)
def test_an_upload_is_written_to_its_topic(served: Served, path: str, upload: Any, topic: str, key: bytes) -> None:
    before = time.time_ns() // 1000
    answer = served.post(path, upload)
    assert answer.status_code == 200, answer.text
    (sent,) = served.producer.sent
    assert (sent.topic, sent.key) == (topic, key)
    values, told = values_of(served), answer.json()
    assert (told["topic"], told["offset"], told["event_id"]) == (topic, 0, values["event_id"])
    assert values["device_id"] == told["device_id"] == ("hw-1" if "hw" in key.decode() else "d-1")
    assert values["occurred_at"] == MICROS
    assert before <= values["received_at"] <= time.time_ns() // 1000
    for name in ("boot_id", "sequence"):
        assert values.get(name) == upload.get(name)


def test_a_heartbeat_is_told_what_is_noticed(served: Served) -> None:
    full = {
        "disk_usage": {"total": 100, "used": 99, "free": 1},
        "camera_status": {"connected": False, "recording": False, "error": "dark"},
    }
    told = served.post("/v1/devices/d/heartbeat", heartbeat(**full, occurred_at=0)).json()
    assert told["status"] == "warning"
    assert told["next_heartbeat_in"] == 60.0
    assert len(told["warnings"]) == 3
    assert "clock" in told["warnings"][0]


def test_the_trace_of_a_request_is_in_the_records_header(served: Served) -> None:
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = served.post(PATH, {"records": [telemetry(1), telemetry(2)]}, traceparent=given, X_Correlation_Id="job-7")
    assert [list(sent.headers) for sent in served.producer.sent] == [[("traceparent", given.encode())]] * 2
    assert answer.headers["x-correlation-id"] == "job-7"
    made = served.post(PATH, telemetry(3)).headers["x-correlation-id"]
    assert dict(served.producer.sent[-1].headers)["traceparent"].decode().split("-")[1] == made


def test_gzip_and_chunks_are_taken(served: Served) -> None:
    records = {"records": [telemetry(number) for number in range(3_000)]}
    body = json.dumps(records).encode()
    packed = served.post(PATH, gzip.compress(body), Content_Encoding="gzip")
    assert packed.json()["accepted"] == 3_000
    chunks = (body[at : at + 10_000] for at in range(0, len(body), 10_000))
    again = served.client.post(PATH, content=chunks, headers={"Content-Type": "application/json"})
    assert again.json() == packed.json()
    assert len(served.producer.sent) == 3_000
    assert served.ingress.bodies.buffered == 0


# --- batches


def test_a_batch_has_a_result_for_each_upload_in_order(served: Served) -> None:
    bad = telemetry(2, readings=[{"metric": "m"}])
    answer = served.post(PATH, {"records": [telemetry(1), bad, telemetry(3), telemetry(1), telemetry(1, value=9.0)]})
    assert answer.status_code == 207
    told = answer.json()
    assert [result["status"] for result in told["results"]] == [200, 422, 200, 200, 409]
    assert (told["accepted"], told["refused"]) == (3, 2)
    assert told["results"][3] == told["results"][0], "a retry within the batch"
    assert [fault["path"] for fault in told["results"][1]["errors"]] == [
        "$.records[1].readings[0].at",
        "$.records[1].readings[0].value",
    ]
    assert [sent.key for sent in served.producer.sent] == [b"d-1", b"d-1"]


def test_a_batch_of_faults_only_is_refused(served: Served) -> None:
    answer = served.post(PATH, {"records": [{}, {"sequence": 1}]})
    assert answer.status_code == 422
    assert answer.json()["accepted"] == 0
    assert served.producer.sent == []


# --- retries


def test_a_retry_gets_the_first_answer_and_is_counted_once(served: Served) -> None:
    first = served.post(PATH, telemetry(5))
    assert [served.post(PATH, telemetry(5)).json() for _ in range(3)] == [first.json()] * 3
    assert len(served.producer.sent) == 1
    assert served.metric('fleetlog_ingress_records_total{outcome="accepted"') == 1
    assert served.metric('fleetlog_ingress_records_total{outcome="repeated"') == 3


@pytest.mark.parametrize("other", [telemetry(5, value=0.0), telemetry(5, occurred_at=0)])
def test_other_content_under_the_same_identity_is_a_conflict(served: Served, other: Any) -> None:
    first = served.post(PATH, telemetry(5))
    conflict = served.post(PATH, other)
    assert (conflict.status_code, conflict.json()["code"]) == (409, "DIFFERENT_CONTENT")
    assert {error["path"] for error in conflict.json()["errors"]} == {"$.boot_id", "$.sequence"}
    assert served.post(PATH, telemetry(5)).json() == first.json()
    assert len(served.producer.sent) == 1


def test_another_device_boot_sequence_or_kind_is_another_upload(served: Served) -> None:
    served.post(PATH, telemetry(1))
    served.post("/v1/devices/d-2/telemetry", telemetry(1))
    served.post(PATH, telemetry(1, boot_id="later"))
    served.post(PATH, telemetry(2))
    served.post("/v1/devices/d-1/events", event(1))
    assert len(served.producer.sent) == 5


def test_retries_while_the_first_is_on_its_way_wait_for_it(served: Served) -> None:
    served.producer.hold = True
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(served.post, PATH, telemetry(1)) for _ in range(8)]
        while served.metric("fleetlog_ingress_requests_in_flight") < 8:
            time.sleep(0.01)
        served.call(served.producer.release)
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(served.producer.sent) == 1


def test_a_registration_is_idempotent_whenever_it_is_made(served: Served) -> None:
    first = served.post("/v1/devices", registration())
    again = served.post("/v1/devices", {**registration(), "occurred_at": 0})
    assert again.json() == first.json()
    conflict = served.post("/v1/devices", {**registration(), "device_id": "other"})
    assert conflict.status_code == 409


def test_what_was_accepted_is_known_after_a_restart(tmp_path: Path) -> None:
    log = MemoryLog(dict.fromkeys(CONTRACT.topics, PARTITIONS))
    registry = FakeRegistry()
    with serving(options(tmp_path), log, registry) as served:
        first = served.post(PATH, telemetry(5)).json()
        device = served.post("/v1/devices", registration()).json()
    log.append(TopicPartition("fleet.telemetry", 3), None, b"poison")
    log.append(TopicPartition("fleet.telemetry", 3), b"d-1", None)
    with serving(options(tmp_path), log, registry) as served:
        assert served.post(PATH, telemetry(5)).json() == first
        assert served.post(PATH, telemetry(5, value=0.0)).status_code == 409
        assert served.post("/v1/devices", registration()).json() == device
        assert served.producer.sent == []


def test_uploads_are_not_taken_before_the_log_was_read(tmp_path: Path) -> None:
    log = MemoryLog(dict.fromkeys(CONTRACT.topics, PARTITIONS))
    log.away = True
    with serving(options(tmp_path), log, ready=False) as served:
        early = served.post(PATH, telemetry())
        assert (early.status_code, early.json()["code"], early.headers["retry-after"]) == (503, "NOT_READY", "1")
        assert served.client.get("/health/ready").status_code == 503
        assert served.client.get("/health/live").status_code == 200
        log.away = False
        until = time.monotonic() + 10
        while served.client.get("/health/ready").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert served.post(PATH, telemetry()).status_code == 200
