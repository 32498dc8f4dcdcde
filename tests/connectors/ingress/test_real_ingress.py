"""The ingress as a process, on the real broker and registry: what it says was written is there, whatever dies."""

import base64
import io
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fastavro
import httpx
import pytest
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from connectors.registry import ConfluentRegistry
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack
from schemas.codec import decode
from schemas.wire import PREFIX_BYTES, schema_id
from tests.connectors.ingress.real_topics import make_topics
from tests.connectors.ingress.uploads import event, heartbeat, registration, telemetry
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
PATH = "/v1/devices/d-1/telemetry"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
# Partitions that Java's client (murmur2, 6 partitions) gives these keys.
JAVA = {"device-1": 4, "device-2": 4, "device-3": 4, "device-4": 0}
FREE = "free-topic"


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("ingress")
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with shared_stack.lend(directory, only=services, settings=Settings(rest_topics=FREE)) as running:
        make_topics(running, {FREE: 6})
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"X-API-Key": api_key(stack.settings)}
    with httpx.Client(base_url=stack.settings.ingress, headers=headers, timeout=30) as made:
        yield made


def record_at(stack: Stack, topic: str, partition: int, offset: int) -> Message:
    consumer = Consumer({"bootstrap.servers": stack.settings.kafka, "group.id": "test", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(20)
        assert message is not None
        assert message.error() is None
        assert message.offset() == offset
        return message
    finally:
        consumer.close()


def values_of(stack: Stack, value: bytes | None) -> dict[str, Any]:
    assert value is not None
    return decode(ConfluentRegistry(stack.settings.registry).schema(schema_id(value)), value[PREFIX_BYTES:])


def ends(stack: Stack, topic: str) -> int:
    """Records in a topic; waits for a broker that has just come back."""
    consumer = Consumer({"bootstrap.servers": stack.settings.kafka, "group.id": "test"})
    until = time.monotonic() + 30
    try:
        while True:
            try:
                return sum(consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=20)[1] for p in range(6))
            except KafkaException:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
    finally:
        consumer.close()


def posted(client: httpx.Client, path: str, body: Any, seconds: float = 60) -> httpx.Response:
    """The answer, once it is no 503: sends again as a device does, also while nobody answers."""
    until = time.monotonic() + seconds
    while True:
        try:
            answer = client.post(path, json=body)
            if answer.status_code != 503:
                return answer
            assert "retry-after" in answer.headers
        except httpx.TransportError:
            pass
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("path", "upload"),
    [
        (PATH, telemetry(1)),
        ("/v1/devices/d-1/heartbeat", heartbeat(1)),
        ("/v1/devices/d-1/events", event(1)),
        ("/v1/devices", registration()),
    ],
)
def test_the_acknowledged_position_holds_that_record(stack: Stack, client: httpx.Client, path: str, upload: Any) -> None:
    answer = client.post(path, json=upload, headers={"traceparent": TRACE})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    message = record_at(stack, told["topic"], told["partition"], told["offset"])
    values = values_of(stack, message.value())
    assert (values["event_id"], values["device_id"]) == (told["event_id"], told["device_id"])
    assert values.get("sequence") == upload.get("sequence")
    assert message.key() == told["device_id"].encode()
    assert message.headers() == [("traceparent", TRACE.encode())]


def test_every_position_of_a_batch_holds_its_record(stack: Stack, client: httpx.Client) -> None:
    batch = {"records": [telemetry(number, "batch", value=float(number)) for number in range(500)]}
    answer = client.post("/v1/devices/d-2/telemetry", json=batch)
    results = answer.json()["results"]
    assert answer.json()["accepted"] == 500
    for number in (0, 1, 250, 499):
        message = record_at(stack, "fleet.telemetry", results[number]["partition"], results[number]["offset"])
        values = values_of(stack, message.value())
        assert (values["event_id"], values["sequence"]) == (results[number]["event_id"], number)
        assert values["readings"][0]["value"] == float(number)
    offsets = [result["offset"] for result in results]
    assert offsets == list(range(offsets[0], offsets[0] + 500)), "in the order of the batch"


def test_a_device_lands_where_java_would_put_it(client: httpx.Client) -> None:
    found = {name: client.post(f"/v1/devices/{name}/telemetry", json=telemetry(1)).json()["partition"] for name in JAVA}
    assert found == JAVA
    records = {"records": [{"key": _base64(name), "value": "AA=="} for name in JAVA]}
    answer = client.post(
        f"/topics/{FREE}", content=json.dumps(records), headers={"Content-Type": "application/vnd.kafka.binary.v2+json"}
    )
    assert [one["partition"] for one in answer.json()["offsets"]] == list(JAVA.values())


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_v2_produce_of_json_and_avro(stack: Stack, client: httpx.Client) -> None:
    schema = {"type": "record", "name": "User", "fields": [{"name": "name", "type": "string"}]}
    avro = {
        "key_schema": '"string"',
        "value_schema": json.dumps(schema),
        "records": [{"key": "k", "value": {"name": "ü"}}, {"key": "k", "value": None}],
    }
    told = v2(client, FREE, "avro", avro)
    first, second = (record_at(stack, FREE, one["partition"], one["offset"]) for one in told["offsets"])
    value, key = first.value(), first.key()
    assert value is not None
    assert key is not None
    assert (schema_id(key), schema_id(value)) == (told["key_schema_id"], told["value_schema_id"])
    assert ConfluentRegistry(stack.settings.registry).schema(schema_id(value)) == schema
    assert fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), schema, None) == {"name": "ü"}
    assert second.value() is None
    told = v2(client, FREE, "json", {"records": [{"key": "k", "value": {"a": 1}}, {"value": 1, "partition": 77}]})
    (written, refused) = told["offsets"]
    assert record_at(stack, FREE, written["partition"], written["offset"]).value() == b'{"a":1}'
    assert (refused["offset"], refused["error_code"]) == (None, 1)


def v2(client: httpx.Client, topic: str, form: str, body: Any) -> Any:
    media_type = f"application/vnd.kafka.{form}.v2+json"
    answer = client.post(f"/topics/{topic}", content=json.dumps(body), headers={"Content-Type": media_type})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("schema", ['{"type":"record","name":"R"}', '{"type":"enum","name":"E","symbols":"x"}'])
def test_a_schema_that_the_registry_refuses_is_told(client: httpx.Client, schema: str) -> None:
    body = {"value_schema": schema, "records": [{"value": {}}]}
    headers = {"Content-Type": "application/vnd.kafka.avro.v2+json"}
    answer = client.post(f"/topics/{FREE}", content=json.dumps(body), headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (422, 42205)


def test_the_examples_of_the_documentation_run(client: httpx.Client) -> None:
    """Sends what the curl commands of docs/device-api.md send."""
    text = (Path(__file__).parents[3] / "docs/device-api.md").read_text("utf-8")
    examples = re.findall(
        r"""^curl \$URL(\S+) -H "X-API-Key: \$KEY" -H 'Content-Type: ([^']+)' -d '([^']+)'$""", text, re.MULTILINE
    )
    statuses = []
    for path, media_type, body in examples:
        statuses.append(client.post(path, content=body, headers={"Content-Type": media_type}).status_code)
    assert statuses == [200, 200, 200, 207, 422]


def test_it_listens_on_loopback_only_and_logs_no_line_per_request(stack: Stack, client: httpx.Client) -> None:
    listening = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    assert [
        line.split()[3] for line in listening.splitlines() if line.split()[3].endswith(f":{stack.settings.ingress_port}")
    ] == [f"127.0.0.1:{stack.settings.ingress_port}"]
    log = stack.log("ingress")
    lines = len(log.read_text("utf-8").splitlines())
    for number in range(50):
        client.post(PATH, json=telemetry(number, "quiet"))
        client.post(PATH, content=b"{")
    assert len(log.read_text("utf-8").splitlines()) - lines < 5
    assert "httpx" not in log.read_text("utf-8")


def test_a_retry_gets_the_first_answer_over_kill_9(stack: Stack, client: httpx.Client) -> None:
    first = [posted(client, PATH, telemetry(number, "retried")).json() for number in range(20)]
    records = ends(stack, "fleet.telemetry")
    stack.kill("ingress", signal.SIGKILL)
    again = [posted(client, PATH, telemetry(number, "retried")).json() for number in range(20)]
    assert again == first
    assert ends(stack, "fleet.telemetry") == records
    conflict = client.post(PATH, json=telemetry(0, "retried", value=0.0))
    assert (conflict.status_code, conflict.json()["code"]) == (409, "DIFFERENT_CONTENT")


def test_concurrent_retries_over_kill_9_are_one_record_with_one_answer(stack: Stack, client: httpx.Client) -> None:
    """Devices send each upload from two connections at once, again and again, while the ingress dies twice."""
    uploads = [telemetry(number, "stubborn") for number in range(150)]
    records = ends(stack, "fleet.telemetry")

    def send(upload: Any) -> Any:
        time.sleep(0.01)
        return posted(client, PATH, upload).json()

    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(send, upload) for upload in uploads for _ in range(2)]
        for _ in range(2):
            time.sleep(0.3)
            stack.kill("ingress", signal.SIGKILL)
            stack.wait_healthy("ingress", 60)
        told = [answer.result() for answer in answers]
    assert told[::2] == told[1::2]
    assert len({answer["event_id"] for answer in told}) == len(uploads)
    assert ends(stack, "fleet.telemetry") == records + len(uploads)


def test_a_broker_killed_and_back_loses_and_doubles_nothing(stack: Stack, client: httpx.Client) -> None:
    records = ends(stack, "fleet.telemetry")
    with ThreadPoolExecutor(4) as pool:
        before = [pool.submit(posted, client, PATH, telemetry(number, "broker")) for number in range(40)]
        stack.kill("broker", signal.SIGKILL)
        after = [pool.submit(posted, client, PATH, telemetry(number, "broker")) for number in range(40, 80)]
        answers = [one.result() for one in (*before, *after)]
    assert {answer.status_code for answer in answers} == {200}
    stack.wait_healthy("broker", 60)
    places = {(answer.json()["partition"], answer.json()["offset"]) for answer in answers}
    assert len(places) == 80
    assert ends(stack, "fleet.telemetry") == records + 80
    for answer in answers[::20]:
        told = answer.json()
        values = values_of(stack, record_at(stack, told["topic"], told["partition"], told["offset"]).value())
        assert values["event_id"] == told["event_id"]


def test_while_the_broker_is_stopped_nothing_is_accepted_and_memory_is_bounded(stack: Stack, client: httpx.Client) -> None:
    stack.kill("broker", signal.SIGSTOP)
    try:
        batch = {"records": [telemetry(number, "stopped") for number in range(2_000)]}
        with ThreadPoolExecutor(16) as pool:
            jobs = [pool.submit(client.post, f"/v1/devices/s-{n}/telemetry", json=batch) for n in range(60)]
            answers = [job.result() for job in jobs]
        assert {answer.status_code for answer in answers} == {503}
        assert all("retry-after" in answer.headers for answer in answers)
        assert resident(stack.pid("ingress")) < 200e6
    finally:
        stack.kill("broker", signal.SIGCONT)
    stack.wait_healthy("broker", 60)
    until = time.monotonic() + 60
    while (told := posted(client, "/v1/devices/s-0/telemetry", batch).json())["accepted"] < 2_000:  # it may falter at first
        assert time.monotonic() < until
    assert len({(result["partition"], result["offset"]) for result in told["results"]}) == 2_000


def resident(pid: int) -> float:
    """The largest resident set of a process, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024


def test_a_clean_stop_ends_with_0_and_goes_on_where_it_was(stack: Stack, client: httpx.Client) -> None:
    first = posted(client, PATH, telemetry(1, "stopped cleanly")).json()
    stack.stop("ingress")
    with pytest.raises(httpx.TransportError):
        client.get("/health/live")
    stack.start("ingress")
    assert posted(client, PATH, telemetry(1, "stopped cleanly")).json() == first
