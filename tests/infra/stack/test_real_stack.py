"""The real broker, Redis and registry: up, killed, back with everything that was acknowledged."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.stack import health
from infra.stack.harness import Stack, running_stack
from infra.stack.service import Unhealthy

pytestmark = pytest.mark.stack
TOPIC = "kept"
RECORDS = 500
SCHEMA = {"type": "record", "name": "Kept", "fields": [{"name": "a", "type": "string"}]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # A stack of its own: how it starts and goes on is what is tested.
    with running_stack(tmp_path_factory.mktemp("stack"), only=("broker", "redis", "registry")) as stack:
        create_topic(stack)
        yield stack


def create_topic(stack: Stack) -> None:
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
    admin.create_topics([NewTopic(TOPIC, 1)])[TOPIC].result(20)


def produce(stack: Stack, texts: list[str]) -> None:
    """Returns when all are acknowledged."""
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "acks": "all", "enable.idempotence": True})
    for text in texts:
        producer.produce(TOPIC, text, callback=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(30) == 0
    assert failures == []


def consume_all(stack: Stack) -> list[str]:
    consumer = Consumer({"bootstrap.servers": stack.settings.kafka, "group.id": "test", "enable.auto.commit": False})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=30)
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        found: list[str] = []
        until = time.monotonic() + 30
        while len(found) < end:
            assert time.monotonic() < until
            for message in consumer.consume(1_000, 1.0):
                assert message.error() is None
                found.append((message.value() or b"").decode())
        return found
    finally:
        consumer.close()


def register(stack: Stack, subject: str) -> int:
    answer = httpx.post(
        f"{stack.settings.registry}/subjects/{subject}/versions",
        content=json.dumps({"schema": json.dumps(SCHEMA)}),
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return int(answer.json()["id"])


def test_the_broker_keeps_every_acknowledged_record_over_kill_9(stack: Stack) -> None:
    sent = [f"record {number}" for number in range(RECORDS)]
    produce(stack, sent)
    old = stack.kill("broker", signal.SIGKILL)
    stack.wait_healthy("broker", 60)
    assert stack.pid("broker") != old
    assert consume_all(stack) == sent


def test_redis_keeps_every_acknowledged_write_over_kill_9(stack: Stack) -> None:
    client = redis.Redis.from_url(stack.settings.redis)
    for number in range(RECORDS):
        client.set(f"key {number}", number)
    client.close()
    stack.kill("redis", signal.SIGKILL)
    stack.wait_healthy("redis", 30)
    client = redis.Redis.from_url(stack.settings.redis)
    assert [int(value) for value in client.mget([f"key {number}" for number in range(RECORDS)])] == list(range(RECORDS))
    client.close()


def test_the_registry_rebuilds_itself_from_the_log_over_kill_9(stack: Stack) -> None:
    number = register(stack, "kept-value")
    stack.kill("registry", signal.SIGKILL)
    stack.wait_healthy("registry", 60)
    # Healthy means that it has read its journal: there is no moment at which it is healthy and empty.
    kept = httpx.get(f"{stack.settings.registry}/schemas/ids/{number}", timeout=10)
    assert kept.status_code == 200
    assert json.loads(kept.json()["schema"]) == SCHEMA
    assert register(stack, "kept-value") == number, "the same schema keeps its id"


def test_the_registry_goes_on_after_the_broker_was_killed(stack: Stack) -> None:
    stack.kill("broker", signal.SIGKILL)
    stack.wait_healthy("broker", 60)
    stack.wait_healthy("registry", 60)
    number = register(stack, "after-value")
    assert httpx.get(f"{stack.settings.registry}/subjects/after-value/versions/latest", timeout=10).json()["id"] == number


def test_a_frozen_process_goes_on_where_it_was(stack: Stack) -> None:
    pid = stack.kill("redis", signal.SIGSTOP)
    with pytest.raises(Unhealthy):
        health.redis(stack.settings.host, stack.settings.redis_port)
    stack.kill("redis", signal.SIGCONT)
    stack.wait_healthy("redis", 20)
    assert stack.pid("redis") == pid


def test_a_second_stack_on_the_same_data_goes_on_with_it(tmp_path: Path) -> None:
    for round_number in range(2):
        with running_stack(tmp_path, only=("broker",)) as stack:
            if round_number == 0:
                create_topic(stack)
                produce(stack, ["first"])
            assert consume_all(stack) == ["first"]
