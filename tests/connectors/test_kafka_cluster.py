"""Questions to a cluster: what each outcome of the client becomes (the real one answers in the ingress's own tests)."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.cluster import PartitionState
from connectors.kafka_cluster import MOST_AT_ONCE, THREADS, KafkaCluster
from connectors.ports import Away


class FakeConsumer:
    """librdkafka's consumer; each question raises `failure` or takes `seconds`."""

    def __init__(self, failure: int | None = None, seconds: float = 0, metadata: Any = None) -> None:
        self._failure, self._seconds, self._metadata = failure, seconds, metadata

    def get_watermark_offsets(self, source: Any, timeout: float) -> tuple[int, int]:
        self._answer()
        return 3, 5

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any:
        self._answer()
        return self._metadata

    def _answer(self) -> None:
        time.sleep(self._seconds)
        if self._failure is not None:
            raise KafkaException(KafkaError(self._failure))

    def poll(self, timeout: float) -> None: ...


class FakeAdmin:
    """librdkafka's admin client; every question gets the future that `answer` makes."""

    def __init__(self, answer: Callable[[], "Future[Any]"]) -> None:
        self._answer = answer
        self.asked = 0

    def _ask(self) -> "Future[Any]":
        self.asked += 1
        return self._answer()

    def describe_configs(self, resources: list[Any], request_timeout: float) -> dict[Any, "Future[Any]"]:
        return {resources[0]: self._ask()}


def cluster_of(admin: FakeAdmin | None = None, consumer: FakeConsumer | None = None, seconds: float = 5) -> KafkaCluster:
    made = KafkaCluster("nowhere:1", seconds)
    made.__dict__ |= {"_admin": admin, "_consumer": consumer}
    return made


def failed(code: int) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_exception(KafkaException(KafkaError(code)))
    return future


def metadata(error: KafkaError | None = None) -> Any:
    partitions = {
        1: SimpleNamespace(id=1, leader=7, replicas=[7, 8], isrs=[7]),
        0: SimpleNamespace(id=0, leader=-1, replicas=[8], isrs=[]),
    }
    topic = SimpleNamespace(error=error, partitions={} if error else partitions)
    return SimpleNamespace(topics={"t": topic}, brokers={8: None, 7: None})


def test_partitions_are_in_order_and_may_lack_a_leader() -> None:
    cluster = cluster_of(consumer=FakeConsumer(metadata=metadata()))
    expected = [PartitionState(0, None, (8,), frozenset()), PartitionState(1, 7, (7, 8), frozenset({7}))]
    assert asyncio.run(cluster.partitions("t")) == expected


def test_brokers_are_in_order() -> None:
    assert asyncio.run(cluster_of(consumer=FakeConsumer(metadata=metadata())).brokers()) == [7, 8]


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION])
def test_what_is_not_there_is_none(code: int) -> None:
    async def ask() -> list[Any]:
        cluster = cluster_of(FakeAdmin(lambda: failed(code)), FakeConsumer(code, metadata=metadata(KafkaError(code))))
        return [await cluster.partitions("t"), await cluster.configs("t"), await cluster.offsets("t", 0)]

    assert asyncio.run(ask()) == [None, None, None]


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError.LEADER_NOT_AVAILABLE])
def test_no_answer_is_away(code: int) -> None:
    with pytest.raises(Away):
        asyncio.run(cluster_of(FakeAdmin(lambda: failed(code))).configs("t"))
    with pytest.raises(Away):
        asyncio.run(cluster_of(consumer=FakeConsumer(code)).brokers())


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError.FENCED_LEADER_EPOCH])
def test_offsets_that_are_not_told_are_away(code: int) -> None:
    with pytest.raises(Away):
        asyncio.run(cluster_of(consumer=FakeConsumer(code)).offsets("t", 0))


def test_nobody_waits_longer_for_a_thread_than_for_the_broker() -> None:
    async def ask() -> list[Any]:
        cluster = cluster_of(consumer=FakeConsumer(seconds=0.7), seconds=0.1)
        return await asyncio.gather(*[cluster.offsets("t", 0) for _ in range(10)], return_exceptions=True)

    outcomes = asyncio.run(ask())
    assert outcomes[:THREADS] == [(3, 5)] * THREADS
    assert all(isinstance(one, Away) for one in outcomes[THREADS:])


def test_a_refusal_is_no_absence() -> None:
    with pytest.raises(KafkaException):
        asyncio.run(cluster_of(FakeAdmin(lambda: failed(KafkaError.TOPIC_AUTHORIZATION_FAILED))).configs("t"))


def test_so_many_questions_wait_and_no_more() -> None:
    waiting: list[Future[Any]] = []

    def held() -> "Future[Any]":
        waiting.append(Future())
        return waiting[-1]

    async def ask() -> None:
        admin = FakeAdmin(held)
        cluster = cluster_of(admin)
        asked = [asyncio.create_task(cluster.configs("t")) for _ in range(MOST_AT_ONCE)]
        await asyncio.sleep(0)
        with pytest.raises(Away, match="wait"):
            await cluster.configs("t")
        assert admin.asked == MOST_AT_ONCE
        for future in waiting:
            future.set_result({"b": SimpleNamespace(value="2"), "a": SimpleNamespace(value=None)})
        assert await asyncio.gather(*asked) == [{"a": None, "b": "2"}] * MOST_AT_ONCE
        again = asyncio.create_task(cluster.configs("t"))
        await asyncio.sleep(0)
        waiting[-1].set_result({})
        assert await again == {}

    asyncio.run(ask())
