"""Questions to a cluster: what each outcome of the client becomes (the real one answers in the ingress's own tests)."""

import asyncio
import threading
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors import kafka_questions
from connectors.cluster import Broker, Ground, PartitionState, Refusal
from connectors.kafka_cluster import KafkaCluster
from connectors.kafka_questions import MOST_AT_ONCE, THREADS, meaning
from connectors.ports import Away
from schemas.log import TopicPartition


class FakeConsumer:
    """librdkafka's consumer; each question raises `failure` or takes `seconds`."""

    def __init__(self, failure: int | None = None, seconds: float = 0, metadata: Any = None) -> None:
        self._failure, self._seconds, self._metadata = failure, seconds, metadata
        self.partition_error: int | None = None
        self.asked = 0
        self.closed = threading.Event()

    def get_watermark_offsets(self, source: Any, timeout: float) -> tuple[int, int]:
        self._answer()
        return 3, 5

    def list_topics(self, topic: str | None = None, timeout: float = -1) -> Any:
        self._answer()
        return self._metadata

    def offsets_for_times(self, sources: list[Any], timeout: float) -> list[Any]:
        self._answer()
        error = None if self.partition_error is None else KafkaError(self.partition_error)
        first, *rest = (SimpleNamespace(topic=one.topic, partition=one.partition, offset=9, error=None) for one in sources)
        first.error = error
        return [first, *rest]

    def _answer(self) -> None:
        self.asked += 1
        time.sleep(self._seconds)
        if self._failure is not None:
            raise KafkaException(KafkaError(self._failure))

    def poll(self, timeout: float) -> None: ...

    def close(self) -> None:
        self.closed.set()


def cluster_of(consumer: FakeConsumer, seconds: float = 5) -> KafkaCluster:
    made = KafkaCluster("nowhere:1", seconds)
    made._questions._consumer = consumer
    return made


def metadata(error: KafkaError | None = None) -> Any:
    partitions = {
        1: SimpleNamespace(id=1, leader=7, replicas=[7, 8], isrs=[7]),
        0: SimpleNamespace(id=0, leader=-1, replicas=[8], isrs=[]),
    }
    topic = SimpleNamespace(error=error, partitions={} if error else partitions)
    brokers = {number: SimpleNamespace(id=number, host="here", port=number) for number in (8, 7)}
    return SimpleNamespace(topics={"t": topic}, brokers=brokers, controller_id=8, cluster_id="c")


STATES = [PartitionState(0, None, (8,), frozenset()), PartitionState(1, 7, (7, 8), frozenset({7}))]


def test_partitions_are_in_order_and_may_lack_a_leader() -> None:
    cluster = cluster_of(FakeConsumer(metadata=metadata()))
    assert asyncio.run(cluster.partitions("t")) == STATES
    assert asyncio.run(cluster.topics()) == {"t": STATES}


def test_brokers_are_in_order_and_one_is_the_controller() -> None:
    cluster = cluster_of(FakeConsumer(metadata=metadata()))
    assert asyncio.run(cluster.brokers()) == [Broker(7, "here", 7), Broker(8, "here", 8, True)]


def test_the_identity_is_asked_once() -> None:
    async def ask() -> list[str]:
        return [await cluster.identity(), await cluster.identity()]

    consumer = FakeConsumer(metadata=metadata())
    cluster = cluster_of(consumer)
    assert asyncio.run(ask()) == ["c", "c"]
    assert consumer.asked == 1


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_EXCEPTION])
def test_what_is_not_there_is_none(code: int) -> None:
    async def ask() -> list[Any]:
        cluster = cluster_of(FakeConsumer(code, metadata=metadata(KafkaError(code))))
        return [await cluster.partitions("t"), await cluster.offsets("t", 0)]

    assert asyncio.run(ask()) == [None, None]


def test_of_several_ends_those_that_are_not_there_are_left_out() -> None:
    consumer = FakeConsumer()
    cluster, sources = cluster_of(consumer), [TopicPartition("t", 0), TopicPartition("t", 1)]
    assert asyncio.run(cluster.ends(sources)) == dict.fromkeys(sources, 9)
    consumer.partition_error = KafkaError.UNKNOWN_TOPIC_OR_PART
    assert asyncio.run(cluster.ends(sources)) == {TopicPartition("t", 1): 9}
    consumer.partition_error = KafkaError.FENCED_LEADER_EPOCH
    with pytest.raises(Away):
        asyncio.run(cluster.ends(sources))
    assert asyncio.run(cluster.ends([])) == {}


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError.LEADER_NOT_AVAILABLE])
def test_no_answer_is_away(code: int) -> None:
    with pytest.raises(Away):
        asyncio.run(cluster_of(FakeConsumer(code)).brokers())


@pytest.mark.parametrize("code", [KafkaError._TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError.FENCED_LEADER_EPOCH])
def test_offsets_that_are_not_told_are_away(code: int) -> None:
    with pytest.raises(Away):
        asyncio.run(cluster_of(FakeConsumer(code)).offsets("t", 0))


def test_nobody_waits_longer_for_a_thread_than_for_the_broker() -> None:
    async def ask() -> list[Any]:
        cluster = cluster_of(FakeConsumer(seconds=0.7), seconds=0.1)
        return await asyncio.gather(*[cluster.offsets("t", 0) for _ in range(10)], return_exceptions=True)

    outcomes = asyncio.run(ask())
    assert outcomes[:THREADS] == [(3, 5)] * THREADS
    assert all(isinstance(one, Away) for one in outcomes[THREADS:])


def test_so_many_questions_wait_and_no_more() -> None:
    async def ask() -> list[Any]:
        cluster = cluster_of(FakeConsumer(seconds=0.01))
        return await asyncio.gather(*[cluster.offsets("t", 0) for _ in range(MOST_AT_ONCE + 3)], return_exceptions=True)

    outcomes = asyncio.run(ask())
    assert outcomes[:MOST_AT_ONCE] == [(3, 5)] * MOST_AT_ONCE
    assert [str(one) for one in outcomes[MOST_AT_ONCE:]] == [
        f"{MOST_AT_ONCE} questions to the broker wait for an answer"
    ] * 3


@pytest.mark.parametrize(
    ("code", "ground"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Ground.FORBIDDEN),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, Ground.FORBIDDEN),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, Ground.FORBIDDEN),
        (KafkaError.TOPIC_ALREADY_EXISTS, Ground.EXISTS),
        (KafkaError.TOPIC_EXCEPTION, Ground.INVALID),
        (KafkaError.POLICY_VIOLATION, Ground.INVALID),
        (KafkaError.INVALID_CONFIG, Ground.INVALID),
    ],
)
def test_a_refusal_is_no_absence(code: int, ground: Ground) -> None:
    found = meaning(KafkaError(code, "why"))
    assert isinstance(found, Refusal)
    assert (found.ground, str(found)) == (ground, "why")
    if ground is Ground.FORBIDDEN:
        with pytest.raises(Refusal):
            asyncio.run(cluster_of(FakeConsumer(code)).partitions("t"))


def test_what_nobody_foresaw_is_a_fault() -> None:
    assert isinstance(meaning(KafkaError(KafkaError.INVALID_RECORD)), KafkaException)
    assert isinstance(meaning(KafkaError(KafkaError._BAD_MSG)), Away)


def test_a_client_that_is_silent_for_long_gives_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while a broker is away, and never one that is asked still."""
    silent, other = FakeConsumer(failure=KafkaError._TIMED_OUT), FakeConsumer()
    monkeypatch.setattr(kafka_questions, "Consumer", lambda options, logger: other)
    monkeypatch.setattr(kafka_questions, "STUCK_SECONDS", 0.05)
    cluster = cluster_of(silent, 0.05)

    async def asked() -> list[int]:
        while silent.asked < 10 and not other.asked:
            with suppress(Away):
                await cluster.offsets("t", 0)
            await asyncio.sleep(0.02)
        return [silent.asked, other.asked]

    before, behind = asyncio.run(asked())
    assert 2 <= before < 10
    assert behind == 1
    assert not silent.closed.is_set()
    assert silent.closed.wait(10)


def test_a_client_that_answers_now_and_then_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the answer is."""
    monkeypatch.setattr(kafka_questions, "STUCK_SECONDS", 0.0)
    consumer = FakeConsumer(failure=KafkaError.UNKNOWN_TOPIC_OR_PART)
    cluster = cluster_of(consumer)
    for _ in range(5):
        assert asyncio.run(cluster.offsets("t", 0)) is None
    assert consumer.asked == 5
