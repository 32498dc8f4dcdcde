"""Whoever is lent the shared stores finds them as new, whatever the one before has left there."""

import signal
from pathlib import Path

import clickhouse_driver
import httpx
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.stack.harness import Stack
from schemas.contract import load
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
DECLARED = load().topics
TELEMETRY = [TopicPartition("fleet.telemetry", number) for number in range(DECLARED["fleet.telemetry"].partitions)]
SUBJECT = "left over-value"


def leave_something_everywhere(stack: Stack) -> None:
    servers = {"bootstrap.servers": stack.settings.kafka}
    admin = AdminClient(servers)
    for made in admin.create_topics([NewTopic("left", 1)]).values():
        made.result(20)
    producer = Producer(servers)
    for topic in ("left", "fleet.telemetry"):
        producer.produce(topic, b"value", partition=0)
    assert producer.flush(20) == 0
    consumer = Consumer({**servers, "group.id": "left", "auto.offset.reset": "earliest"})
    consumer.subscribe(["left"])
    message = next(found for _ in range(600) if (found := consumer.poll(0.1)) is not None)
    consumer.commit(message, asynchronous=False)
    consumer.close()
    with redis.Redis.from_url(stack.settings.redis) as client:
        client.set("left", "value")
    with clickhouse_driver.Client(stack.settings.clickhouse, stack.settings.clickhouse_port) as store:
        store.execute(f"CREATE DATABASE {stack.settings.clickhouse_database}")
    with httpx.Client(base_url=stack.settings.registry, timeout=30) as client:
        client.post(f"/subjects/{SUBJECT}/versions", json={"schema": '"string"'}).raise_for_status()


def test_nothing_is_left_of_the_one_before(shared_stack: SharedStack, tmp_path: Path) -> None:
    only = ("broker", "redis", "clickhouse", "registry", "topics")
    with shared_stack.lend(tmp_path / "one", only) as stack:
        leave_something_everywhere(stack)
        stack.stop("redis")
        stack.kill("clickhouse", signal.SIGSTOP)
    with shared_stack.lend(tmp_path / "two", only) as stack:
        admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
        topics = set(admin.list_topics(timeout=20).topics)
        assert topics > DECLARED.keys()
        assert "left" not in topics
        consumer = Consumer({"bootstrap.servers": stack.settings.kafka, "group.id": "none"})
        ends = {consumer.get_watermark_offsets(part, timeout=20) for part in TELEMETRY}
        consumer.close()
        assert ends == {(0, 0)}
        assert "left" not in {group.group_id for group in admin.list_consumer_groups().result(20).valid}
        with redis.Redis.from_url(stack.settings.redis) as client:
            assert client.dbsize() == 0
        with clickhouse_driver.Client(stack.settings.clickhouse, stack.settings.clickhouse_port) as store:
            assert (stack.settings.clickhouse_database,) not in store.execute("SHOW DATABASES")
        subjects = {topic.subject(record) for topic in DECLARED.values() for record in topic.records}
        assert set(httpx.get(f"{stack.settings.registry}/subjects?deleted=true", timeout=30).json()) == subjects
    with shared_stack.lend(tmp_path / "three", ("broker",)) as stack:
        assert not DECLARED.keys() & AdminClient({"bootstrap.servers": stack.settings.kafka}).list_topics(timeout=20).topics


def test_it_is_lent_to_one_at_a_time(shared_stack: SharedStack, tmp_path: Path) -> None:
    with (
        shared_stack.lend(tmp_path / "one", ("redis",)),
        pytest.raises(AssertionError, match="another module has them"),
        shared_stack.lend(tmp_path / "two", ("redis",)),
    ):
        pass
