"""Idempotency keys on the real broker: an ingress that is killed again and again, and the examples of the documentation."""

import json
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from connectors.kafka_log import KafkaLog
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack
from tests.connectors.ingress.keyed import JSON_V2, PARTITIONS, body_of, replayed
from tests.connectors.ingress.real_topics import make_topics
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
DOCUMENT = Path(__file__).parents[3] / "docs/idempotency.md"
EXAMPLE = re.compile(
    r"""^curl -i \$URL(\S+) -H "X-API-Key: \$KEY" -H 'Content-Type: ([^']+)' -H 'Idempotency-Key: ([^']+)' -d '([^']+)'$""",
    re.MULTILINE,
)
KILLS, SENDERS, RECORDS = 5, 6, 7
DEADLINE = 2.0  # seconds; a broker that stands still for 3 s is fenced by its own controller, another matter


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(rest_topics="free,weather*", request_deadline=DEADLINE)
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with shared_stack.lend(tmp_path_factory.mktemp("keys"), only=services, settings=settings) as running:
        make_topics(running, dict.fromkeys(("free", "weather"), PARTITIONS))
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"X-API-Key": api_key(stack.settings), "Content-Type": JSON_V2}
    with httpx.Client(base_url=stack.settings.ingress, headers=headers, timeout=10) as made:
        yield made


def sent_until_done(client: httpx.Client, key: str, values: list[str]) -> httpx.Response:
    """As a client does it: the same request again, until it is answered for good."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            answer = client.post("/topics/free", content=body_of(values), headers={"Idempotency-Key": key})
        except httpx.TransportError:
            threading.Event().wait(0.05)
            continue
        if answer.status_code == 200:
            return answer
        assert answer.status_code in (404, 429, 503), answer.text  # 404: a new ingress has not heard of the topic yet
        threading.Event().wait(0.05)
    raise AssertionError("no answer for good within 60 s")


def held(stack: Stack) -> dict[tuple[int, int], str]:
    log = KafkaLog(stack.settings.kafka)
    try:
        return {
            (source.partition, offset): json.loads(value or b"null")
            for source, (low, high) in log.bounds(["free"]).items()
            for batch in log.read(source, low, high)
            for offset, value in zip(batch.offsets, batch.values, strict=True)
        }
    finally:
        log.close()


class Load:
    """Senders that each send one request after the other, until `stop` is set. `done`: by key what was sent, the answer."""

    def __init__(self, client: httpx.Client) -> None:
        self._client, self.stop = client, threading.Event()
        self.done: dict[str, tuple[list[str], bytes]] = {}

    def send(self, sender: int) -> None:
        count = 0
        while not self.stop.is_set():
            key, count = f"{sender}-{count}", count + 1
            values = [f"{key}-{number}" for number in range(RECORDS)]
            self.done[key] = values, sent_until_done(self._client, key, values).content

    def wait_for(self, more: int) -> None:
        """Return when so many more requests are done."""
        until, target = time.monotonic() + 60, len(self.done) + more
        while len(self.done) < target:
            assert time.monotonic() < until
            self.stop.wait(0.005)


def test_an_ingress_that_is_killed_again_and_again_writes_each_record_once(stack: Stack, client: httpx.Client) -> None:
    rng, load = random.Random(4), Load(client)
    sent_until_done(client, "first", ["first"])
    with ThreadPoolExecutor(SENDERS) as pool:
        jobs = [pool.submit(load.send, sender) for sender in range(SENDERS)]
        for _ in range(KILLS):
            load.wait_for(2 * SENDERS)
            load.stop.wait(rng.uniform(0, 0.05))
            stack.kill("ingress")
            stack.wait_healthy("ingress")
        load.stop.set()
        for job in jobs:
            job.result()
    done = load.done
    records = held(stack)
    assert Counter(records.values()) == {value: 1 for values, _ in done.values() for value in values} | {"first": 1}
    for values, body in done.values():
        places = [(one["partition"], one["offset"]) for one in json.loads(body)["offsets"]]
        assert [records[place] for place in places] == values
    for key, (values, body) in done.items():
        again = sent_until_done(client, key, values)
        assert (again.content, replayed(again)) == (body, True)
    assert len(held(stack)) == len(records)
    looked_up = re.findall(
        r'interrupted requests were looked up.*"requests": (\d+)', stack.log("ingress").read_text("utf-8")
    )
    assert sum(map(int, looked_up)) > 0


def test_while_the_broker_is_stopped_a_request_is_under_way_and_is_written_once(stack: Stack, client: httpx.Client) -> None:
    before = sent_until_done(client, "warm", ["warm"])
    asked = [(f"stopped-{number}", [f"stopped-{number}-{place}" for place in range(RECORDS)]) for number in range(8)]
    stack.kill("broker", signal.SIGSTOP)
    try:
        assert (
            client.post("/topics/free", content=body_of(["warm"]), headers={"Idempotency-Key": "warm"}).content
            == before.content
        )
        with ThreadPoolExecutor(len(asked) * 2) as pool:
            jobs = [
                pool.submit(client.post, "/topics/free", content=body_of(values), headers={"Idempotency-Key": key})
                for key, values in asked * 2
            ]
            answers = [job.result() for job in jobs]
        assert {answer.status_code for answer in answers} == {503}
        assert all("retry-after" in answer.headers for answer in answers)
    finally:
        stack.kill("broker", signal.SIGCONT)
    stack.wait_healthy("broker")
    for key, values in asked:
        sent_until_done(client, key, values)
    counts = Counter(held(stack).values())
    assert {counts[value] for _, values in asked for value in values} == {1}


def test_the_example_of_the_documentation(client: httpx.Client) -> None:
    ((path, media_type, key, body),) = EXAMPLE.findall(DOCUMENT.read_text("utf-8"))
    headers = {"Content-Type": media_type, "Idempotency-Key": key}
    first, again = (client.post(path, content=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert (replayed(first), replayed(again)) == (False, True)
