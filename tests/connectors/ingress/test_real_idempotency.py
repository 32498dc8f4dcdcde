"""Idempotency keys on the real broker: an ingress that is killed again and again, and the examples of the documentation."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka_log import KafkaLog
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack, running_stack
from tests.connectors.ingress.keyed import JSON_V2, PARTITIONS, body_of, replayed

pytestmark = pytest.mark.stack
DOCUMENT = Path(__file__).parents[3] / "docs/idempotency.md"
KILLS, SENDERS, RECORDS = 5, 6, 7


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(rest_topics="free,weather*", request_deadline=3.0)
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with running_stack(tmp_path_factory.mktemp("keys"), only=services, settings=settings) as running:
        admin = AdminClient({"bootstrap.servers": running.settings.kafka})
        for future in admin.create_topics([NewTopic(name, PARTITIONS) for name in ("free", "weather")]).values():
            future.result(20)
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


def send_all(client: httpx.Client, sender: int, stop: threading.Event) -> dict[str, tuple[list[str], bytes]]:
    """Requests one after the other until `stop`; by key what was sent and the answer."""
    done: dict[str, tuple[list[str], bytes]] = {}
    while not stop.is_set():
        key = f"{sender}-{len(done)}"
        values = [f"{key}-{number}" for number in range(RECORDS)]
        done[key] = values, sent_until_done(client, key, values).content
    return done


def test_an_ingress_that_is_killed_again_and_again_writes_each_record_once(stack: Stack, client: httpx.Client) -> None:
    rng, stop = random.Random(4), threading.Event()
    sent_until_done(client, "first", ["first"])
    with ThreadPoolExecutor(SENDERS) as pool:
        jobs = [pool.submit(send_all, client, sender, stop) for sender in range(SENDERS)]
        for _ in range(KILLS):
            stop.wait(rng.uniform(0.1, 0.4))
            stack.kill("ingress")
            stack.wait_healthy("ingress")
        stop.set()
        done = {key: one for job in jobs for key, one in job.result().items()}
    records = held(stack)
    assert Counter(records.values()) == {value: 1 for values, _ in done.values() for value in values} | {"first": 1}
    for values, body in done.values():
        places = [(one["partition"], one["offset"]) for one in json.loads(body)["offsets"]]
        assert [records[place] for place in places] == values
    for key, (values, body) in done.items():
        again = sent_until_done(client, key, values)
        assert (again.content, replayed(again)) == (body, True)
    assert len(held(stack)) == len(records)
    resumed = sum(float(line.split()[1]) for line in client.get("/metrics").text.splitlines() if "resumed" in line[:80])
    print(f"{len(done)} requests, {resumed:g} resumed by the last process")
