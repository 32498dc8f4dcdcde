"""Reading by position on the real broker and registry: every case of the table, compaction, the documentation, a broker that
stops."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from confluent_kafka import Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.registry import ConfluentRegistry
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack
from tests.connectors.ingress.log_cases import Case, cases, next_of, records_of
from tests.connectors.ingress.log_world import KEPT_FROM, OPEN, PARTITIONS, START, TOPICS, Seed, fill
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
DOCUMENT = (Path(__file__).parents[3] / "docs/reading.md").read_text("utf-8")
FOR_EVER = {"retention.ms": "-1"}
# Compacted as soon as the cleaner comes by: once there is a newer segment.
COMPACTED = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.001", "segment.ms": "100"}
FLEET = ("fleet.device-events", "fleet.heartbeats", "fleet.telemetry")


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    services = ("broker", "registry", "topics", "schemas", "ingress")
    settings = Settings(rest_read=",".join([*OPEN, "compacted"]))
    with shared_stack.lend(tmp_path_factory.mktemp("log"), only=services, settings=settings) as running:
        servers = {"bootstrap.servers": running.settings.kafka}
        admin = AdminClient(servers)
        new = [NewTopic(name, PARTITIONS, config=FOR_EVER) for name in TOPICS]
        new.append(NewTopic("compacted", 1, config=COMPACTED))
        for future in admin.create_topics(new).values():
            future.result(20)
        producer = Producer({**servers, "linger.ms": 1})

        def write(topic: str, timestamp: int, seed: Seed) -> None:
            producer.produce(topic, seed.value, seed.key, 0, timestamp=timestamp, headers=list(seed.headers))
            assert producer.flush(20) == 0

        for number in range(20):
            write("compacted", START, Seed(b"k%d" % (number % 3), b"%d" % number))
        fill(write, ConfluentRegistry(running.settings.registry).register)
        forget(admin, "trimmed", KEPT_FROM)
        yield running


def forget(admin: AdminClient, topic: str, before: int) -> None:
    wanted = [KafkaPartition(topic, 0, before)]
    # confluent-kafka < 2.15 gives back references to this list that it does not own (its issue 2275): lend it as many.
    for _ in range(2):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(wanted))
    admin.delete_records(wanted)[wanted[0]].result(20)


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"X-API-Key": api_key(stack.settings)}
    with httpx.Client(base_url=stack.settings.ingress, headers=headers, timeout=30) as made:
        until = time.monotonic() + 5
        while {one["topic"] for one in made.get("/v1/log").json()["topics"]} < {*TOPICS} - {"hidden"}:
            assert time.monotonic() < until
            time.sleep(0.1)
        yield made


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case(client: httpx.Client, case: Case) -> None:
    response = case.send(client)
    if case.name == "the topics that may be read":
        found = response.json()["topics"]
        assert [one["topic"] for one in found][:4] == ["compacted", *FLEET]
        response = httpx.Response(200, headers=response.headers, json={"topics": found[4:]})
    case.check(response)


@pytest.mark.parametrize("form", ["json", "ndjson", "avro"])
def test_walking_by_links_gives_the_log_once_and_the_same_again(client: httpx.Client, form: str) -> None:
    for limit in (1, 4, 100):
        walks = [walk(client, f"/v1/log/readings/0?limit={limit}&format={form}") for _ in range(2)]
        assert [record["offset"] for record, _ in walks[0]] == list(range(25))
        assert walks[0] == walks[1]


def walk(client: httpx.Client, path: str) -> list[tuple[Any, bytes]]:
    """All records from `path` to the end, each with the bytes of its page."""
    found: list[tuple[Any, bytes]] = []
    while records := records_of(answer := client.get(path)):
        found += [(record, answer.content) for record in records]
        path = next_of(answer)
    return found


def test_a_record_that_comes_ends_the_wait(stack: Stack, client: httpx.Client) -> None:
    producer = Producer({"bootstrap.servers": stack.settings.kafka})
    with ThreadPoolExecutor(2) as pool:
        path = next_of(client.get("/v1/log/mixed/1?from=latest")) + "&wait=20"
        started = time.monotonic()
        waiting = [pool.submit(client.get, path) for _ in range(2)]
        time.sleep(0.5)
        assert not any(one.done() for one in waiting)
        producer.produce("mixed", b"it", partition=1)
        assert producer.flush(10) == 0
        assert [[record["value"] for record in records_of(one.result())] for one in waiting] == [["it"]] * 2
    assert time.monotonic() - started < 5


def test_aborted_records_are_not_shown_and_a_walk_goes_past_them(stack: Stack, client: httpx.Client) -> None:
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "transactional.id": uuid4().hex})
    producer.init_transactions(20)
    path = next_of(client.get("/v1/log/readings/1?from=latest"))
    for commits in (False, True, False):
        producer.begin_transaction()
        producer.produce("readings", b"%d" % commits, partition=1)
        assert producer.flush(10) == 0
        assert all(record["value"] == 1 for record in records_of(client.get(path))), "nothing that is in doubt"
        (producer.commit_transaction if commits else producer.abort_transaction)(10)
    until = time.monotonic() + 10
    found: list[Any] = []
    while "from=6" not in path:  # three records, three markers
        answer = client.get(path)
        found += records_of(answer)
        path = next_of(answer)
        assert time.monotonic() < until
    assert [(record["offset"], record["value"]) for record in found] == [(2, 1)]


def test_a_compacted_topic_has_holes_and_its_pages_are_not_kept(stack: Stack, client: httpx.Client) -> None:
    producer = Producer({"bootstrap.servers": stack.settings.kafka})
    path, until = "/v1/log/compacted/0?from=0&limit=3", time.monotonic() + 40
    while (records := records_of(answer := client.get(path)))[0]["offset"] == 0:
        assert time.monotonic() < until
        producer.produce("compacted", b"last", b"last")
        assert producer.flush(10) == 0
        time.sleep(0.5)
    assert answer.json()["full"] is True
    assert answer.headers["cache-control"] == "private, no-cache"
    assert records[0]["offset"] == 17
    assert f"from={records[-1]['offset'] + 1}&" in next_of(answer)


def test_the_examples_of_the_documentation_run(stack: Stack, tmp_path: Path) -> None:
    snippets = re.findall(r"^```(sh|python)\n(.*?)^```", DOCUMENT, re.M | re.S)
    assert [language for language, _ in snippets] == ["sh", "sh", "sh", "python"]
    environment = {**os.environ, "URL": stack.settings.ingress, "KEY": api_key(stack.settings), "POLARS_FMT_MAX_COLS": "9"}
    told = []
    for language, snippet in snippets[1:]:
        command = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*command, snippet], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    for text in told:
        assert "sea_surface_temperature" in text
    assert '"next":"/v1/log/fleet.telemetry/4?from=1&limit=10","full":false}' in told[0].replace("\n", "")
    assert told[1].count("\n") == 1, "the second page waited, and there was nothing"
    assert "16.25" in told[2]


def test_a_stopped_broker_is_told_in_bounded_time_and_read_again(stack: Stack, client: httpx.Client) -> None:
    paths = ["/v1/log", "/v1/log/readings", "/v1/log/readings/0?from=3&limit=5", "/v1/log/readings/0?from=latest&wait=30"]
    stack.kill("broker", signal.SIGSTOP)
    started = time.monotonic()
    try:
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(client.get, paths * 3))
            assert client.get("/health/live").status_code == 200
    finally:
        stack.kill("broker", signal.SIGCONT)
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["code"] for answer in answers} == {"BROKER_UNAVAILABLE"}
    assert all("retry-after" in answer.headers for answer in answers)
    assert time.monotonic() - started < 20
    stack.wait_healthy("broker", 60)
    assert stack.restarts("ingress") == 0
    until = time.monotonic() + 40
    while (answer := client.get(paths[2])).status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert [record["offset"] for record in records_of(answer)] == [3, 4, 5, 6, 7]
