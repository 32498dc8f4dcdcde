"""A producer whose client never gets back to the broker ends its process; one whose broker is away waits."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from connectors import kafka_producer
from connectors.kafka_producer import KafkaProducer, ProducerOptions
from connectors.kafka_questions import reachable
from infra.stack.ports import free_ports


@pytest.mark.parametrize("others_reach_it", [True, False])
def test_a_client_that_is_stuck_is_told_from_a_broker_that_is_away(
    monkeypatch: pytest.MonkeyPatch, others_reach_it: bool
) -> None:
    monkeypatch.setattr(kafka_producer, "STUCK_SECONDS", 0.3)
    monkeypatch.setattr(kafka_producer, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(kafka_producer, "PROBE_TIMEOUT", 0.2)
    monkeypatch.setattr(kafka_producer, "reachable", lambda servers, seconds: others_reach_it)
    told: list[str] = []

    async def watch(port: int) -> None:
        producer = KafkaProducer(ProducerOptions(f"127.0.0.1:{port}"), told.append)
        producer.start()
        until = time.monotonic() + (5 if others_reach_it else 1.5)
        while not told and time.monotonic() < until:
            await asyncio.sleep(0.05)
        await producer.close(0)

    with free_ports(1) as (port,):
        asyncio.run(watch(port))
    assert bool(told) is others_reach_it


def test_a_broker_that_is_not_in_its_cluster_yet_does_not_say_what_topics_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topics = {"fleet.telemetry": SimpleNamespace(error=None, partitions=range(6))}
    answers = [SimpleNamespace(brokers={1: None}, topics=topics), SimpleNamespace(brokers={}, topics={})]

    async def ask() -> tuple[int | None, int | None]:
        producer = KafkaProducer(ProducerOptions("nowhere:1"), str)
        monkeypatch.setattr(producer, "_away", "")
        monkeypatch.setattr(producer, "_producer", SimpleNamespace(list_topics=lambda timeout: answers.pop(0)))
        before = await producer.partitions("fleet.telemetry")
        await producer.reread()
        return before, await producer.partitions("fleet.telemetry")

    assert asyncio.run(ask()) == (6, 6)
    assert answers == []


def test_nothing_is_reached_where_nobody_listens() -> None:
    with free_ports(1) as (port,):
        assert not reachable(f"127.0.0.1:{port}", 0.3)
