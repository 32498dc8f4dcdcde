"""Readers of the log: a client that does not answer gives way: it may never get over a broker that stood still."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors import kafka_ends, kafka_log, kafka_pages
from connectors.kafka_ends import KafkaEnds
from connectors.kafka_log import KafkaLog
from connectors.kafka_pages import KafkaPages
from connectors.ports import Away
from schemas.log import TopicPartition

SOURCE = TopicPartition("fleet.telemetry", 0)


class FakeConsumer:
    """Tells of one partition that holds the offsets 2 to 5, or fails for good."""

    def __init__(self, failure: int | None) -> None:
        self._failure = failure
        self.closed = False

    def _told(self, answer: Any) -> Any:
        if self._failure is not None:
            raise KafkaException(KafkaError(self._failure))
        return answer

    def list_topics(self, topic: str, timeout: float) -> Any:
        return self._told(SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})}))

    def get_watermark_offsets(self, partition: Any, timeout: float) -> Any:
        return self._told((2, 5))

    def offsets_for_times(self, asked: Any, timeout: float) -> Any:
        return self._told([SimpleNamespace(topic=SOURCE.topic, partition=0, offset=3, error=None)])

    def assign(self, partitions: Any) -> None: ...

    def unassign(self) -> None: ...

    def consume(self, most: int, timeout: float) -> list[Any]:
        return []

    def close(self) -> None:
        self.closed = True


def read(log: KafkaLog) -> None:
    """Nothing comes, though the log is said to hold three records."""
    for _ in log.read(SOURCE, 2, 5):
        pytest.fail("there is no record")


QUESTIONS: dict[str, Callable[[KafkaLog], object]] = {
    "bounds": lambda log: log.bounds(["fleet.telemetry"]),
    "offset at": lambda log: log.offset_at(SOURCE, 1_000),
    "read": read,
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_log_reader_s_silent_client_gives_way_to_another(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [FakeConsumer(KafkaError._TIMED_OUT), good := FakeConsumer(None)]
    monkeypatch.setattr(kafka_log, "Consumer", lambda options, logger: made.pop(0))
    log = KafkaLog("nowhere:1", timeout=0.1)
    with pytest.raises(Away):
        QUESTIONS[name](log)
    assert log.bounds(["fleet.telemetry"]) == {SOURCE: (2, 5)}
    assert not made
    log.close()
    assert good.closed


def test_a_log_reader_that_hears_of_no_record_takes_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its consumer answers what it is asked, and fetches nothing."""
    made = [FakeConsumer(None), FakeConsumer(None)]
    monkeypatch.setattr(kafka_log, "Consumer", lambda options, logger: made.pop(0))
    log = KafkaLog("nowhere:1", timeout=0.1)
    with pytest.raises(Away, match="no record came"):
        read(log)
    assert log.bounds(["fleet.telemetry"]) == {SOURCE: (2, 5)}
    assert not made


def test_a_silent_client_for_ends_gives_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [FakeConsumer(KafkaError._TIMED_OUT), good := FakeConsumer(None)]
    monkeypatch.setattr(kafka_ends, "Consumer", lambda options, logger: made.pop(0))
    ends = KafkaEnds("nowhere:1")
    with pytest.raises(Away):
        ends.end_of(SOURCE)
    assert ends.end_of(SOURCE) == ends.end_of(SOURCE) == 5
    assert not made
    ends.close()
    assert good.closed


def test_a_silent_client_for_pages_gives_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [silent := FakeConsumer(KafkaError._TIMED_OUT), FakeConsumer(None)]
    monkeypatch.setattr(kafka_pages, "Consumer", lambda options, logger: made.pop(0))
    pages = KafkaPages("nowhere:1")

    async def ask() -> None:
        with pytest.raises(Away):
            await pages.find(SOURCE, 1_000)
        for _ in range(2):
            assert await pages.find(SOURCE, 1_000) == 3

    asyncio.run(ask())
    assert silent.closed
    assert not made
    pages.close()
