"""Questions to a cluster: what each outcome of the client becomes (the real one answers in the ingress's own tests)."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.cluster import PartitionState
from connectors.kafka_cluster import MOST_AT_ONCE, KafkaCluster
from connectors.ports import Away


class FakeAdmin:
    """librdkafka's admin client; every question gets the future that `answer` makes."""

    def __init__(self, answer: Callable[[], "Future[Any]"]) -> None:
        self._answer = answer
        self.asked = 0

    def _ask(self) -> "Future[Any]":
        self.asked += 1
        return self._answer()

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, "Future[Any]"]:
        return {"t": self._ask()}

    def describe_configs(self, resources: list[Any], request_timeout: float) -> dict[Any, "Future[Any]"]:
        return {resources[0]: self._ask()}

    def list_offsets(self, wanted: dict[Any, Any], request_timeout: float) -> dict[Any, "Future[Any]"]:
        return {source: self._ask() for source in wanted}

    def describe_cluster(self, request_timeout: float) -> "Future[Any]":
        return self._ask()


def cluster_of(admin: FakeAdmin) -> KafkaCluster:
    made = KafkaCluster("nowhere:1")
    made.__dict__["_admin"] = admin
    return made


def failed(code: int) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_exception(KafkaException(KafkaError(code)))
    return future


def done(result: Any) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(result)
    return future


def node(number: int) -> Any:
    return SimpleNamespace(id=number)


@pytest.mark.parametrize("leader", [None, node(-1)])
def test_partitions_are_in_order_and_may_lack_a_leader(leader: Any) -> None:
    second = SimpleNamespace(id=1, leader=node(7), replicas=[node(7), node(8)], isr=[node(7)])
    first = SimpleNamespace(id=0, leader=leader, replicas=[node(8)], isr=[])
    cluster = cluster_of(FakeAdmin(lambda: done(SimpleNamespace(partitions=[second, first]))))
    expected = [PartitionState(0, None, (8,), frozenset()), PartitionState(1, 7, (7, 8), frozenset({7}))]
    assert asyncio.run(cluster.partitions("t")) == expected


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION])
def test_what_is_not_there_is_none(code: int) -> None:
    async def ask() -> list[Any]:
        cluster = cluster_of(FakeAdmin(lambda: failed(code)))
        return [await cluster.partitions("t"), await cluster.configs("t"), await cluster.offsets("t", 0)]

    assert asyncio.run(ask()) == [None, None, None]


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError.LEADER_NOT_AVAILABLE])
def test_no_answer_is_away(code: int) -> None:
    with pytest.raises(Away):
        asyncio.run(cluster_of(FakeAdmin(lambda: failed(code))).brokers())


def test_a_refusal_is_no_absence() -> None:
    with pytest.raises(KafkaException):
        asyncio.run(cluster_of(FakeAdmin(lambda: failed(KafkaError.TOPIC_AUTHORIZATION_FAILED))).partitions("t"))


def test_so_many_questions_wait_and_no_more() -> None:
    waiting: list[Future[Any]] = []

    def held() -> "Future[Any]":
        waiting.append(Future())
        return waiting[-1]

    async def ask() -> None:
        admin = FakeAdmin(held)
        cluster = cluster_of(admin)
        asked = [asyncio.create_task(cluster.brokers()) for _ in range(MOST_AT_ONCE)]
        await asyncio.sleep(0)
        with pytest.raises(Away, match="wait"):
            await cluster.brokers()
        assert admin.asked == MOST_AT_ONCE
        for future in waiting:
            future.set_result(SimpleNamespace(nodes=[node(2), node(1)]))
        assert await asyncio.gather(*asked) == [[1, 2]] * MOST_AT_ONCE
        again = asyncio.create_task(cluster.brokers())
        await asyncio.sleep(0)
        waiting[-1].set_result(SimpleNamespace(nodes=[]))
        assert await again == []

    asyncio.run(ask())
