"""Kafka-REST v2 on the real broker and registry: every case of the table, and a broker that stops."""

import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka_questions import reachable
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack
from tests.connectors.ingress.real_topics import make_topics
from tests.connectors.ingress.rest_v2_cases import OPEN, PARTITIONS, Case, Record, cases
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
DOCUMENT = Path(__file__).parents[3] / "docs/kafka-rest.md"
EXAMPLE = re.compile(
    r"""^curl \$URL(\S+) -H "X-API-Key: \$KEY"(?: -H 'Content-Type: ([^']+)' -d '([^']+)')?$""", re.MULTILINE
)


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(rest_topics=",".join([*OPEN, "weather*"]), rest_manage="weather*")
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with shared_stack.lend(tmp_path_factory.mktemp("rest"), only=services, settings=settings) as running:
        make_topics(running, dict.fromkeys(("free", "hidden"), PARTITIONS))
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with connected(stack) as made:
        yield made


def connected(stack: Stack) -> httpx.Client:
    headers = {"X-API-Key": api_key(stack.settings)}
    return httpx.Client(base_url=stack.settings.ingress, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def consumer(stack: Stack) -> Iterator[Consumer]:
    fast = {"fetch.wait.max.ms": 20, "fetch.queue.backoff.ms": 10}
    made = Consumer({"bootstrap.servers": stack.settings.kafka, "group.id": "test", "enable.auto.commit": False, **fast})
    yield made
    made.close()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case(client: httpx.Client, consumer: Consumer, case: Case) -> None:
    def read(topic: str, partition: int, offset: int) -> Record:
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(20)
        assert message is not None
        assert (message.error(), message.offset()) == (None, offset)
        return message.key(), message.value()

    case.check(case.send(client), read)


def test_offsets_follow_what_is_written(client: httpx.Client) -> None:
    path = "/topics/free/partitions/4"
    before = client.get(f"{path}/offsets").json()
    headers = {"Content-Type": "application/vnd.kafka.json.v2+json"}
    told = client.post(path, json={"records": [{"value": 1}, {"value": 2}]}, headers=headers).json()
    assert [one["offset"] for one in told["offsets"]] == [before["end_offset"], before["end_offset"] + 1]
    after = client.get(f"{path}/offsets").json()
    assert after == {"beginning_offset": before["beginning_offset"], "end_offset": before["end_offset"] + 2}


def test_the_examples_of_the_documentation_run(stack: Stack, client: httpx.Client) -> None:
    """Sends what the curl commands of docs/kafka-rest.md send."""
    (cluster,) = client.get("/v3/clusters").json()["data"]
    assert f"CLUSTER={cluster['cluster_id']} " in DOCUMENT.read_text("utf-8")
    answers = []
    for path, media_type, body in EXAMPLE.findall(DOCUMENT.read_text("utf-8")):
        headers = {"Content-Type": media_type} if body else {}
        url = path.replace("$CLUSTER", cluster["cluster_id"])
        answers.append(client.request("POST" if body else "GET", url, content=body or None, headers=headers))
    assert [answer.status_code for answer in answers] == [201, *[200] * 5]
    for answer in answers[4:]:
        assert answer.text in DOCUMENT.read_text("utf-8")


def test_a_broker_that_is_there_is_reached(stack: Stack) -> None:
    assert reachable(stack.settings.kafka, 20)


def test_questions_never_create_a_topic(stack: Stack, client: httpx.Client) -> None:
    for path in ("weather-2", "weather-2/partitions", "weather-2/partitions/0", "weather-2/partitions/0/offsets"):
        assert client.get(f"/topics/{path}").json()["error_code"] == 40401
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
    assert "weather-2" not in admin.list_topics(timeout=20).topics


def test_while_the_broker_is_stopped_every_question_is_answered_503_and_then_again(
    stack: Stack, client: httpx.Client
) -> None:
    paths = ["/brokers", "/topics/free", "/topics/free/partitions/0/offsets", "/topics"]
    assert {client.get(path).status_code for path in paths} == {200}
    time.sleep(1.1)  # until the list of topics counts as old
    stack.kill("broker", signal.SIGSTOP)
    started = time.monotonic()
    try:
        with ThreadPoolExecutor(60) as pool:
            answers = list(pool.map(client.get, paths * 15))
    finally:
        stack.kill("broker", signal.SIGCONT)
    assert {(answer.status_code, answer.json()["error_code"]) for answer in answers} == {(503, 50003)}
    assert all("retry-after" in answer.headers for answer in answers)
    assert time.monotonic() - started < 20
    stack.wait_healthy("broker", 60)
    assert stack.restarts("ingress") == 0
    until = time.monotonic() + 100  # a client that does not find its broker again is replaced after 20 s of it
    while any(client.get(path).status_code != 200 for path in paths):
        assert time.monotonic() < until
        time.sleep(0.2)
