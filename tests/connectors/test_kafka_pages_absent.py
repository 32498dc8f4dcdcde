"""A topic that is not there, and one that the client only could not find out about, are told apart."""

import asyncio
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka_pages import KafkaPages, _bounds
from connectors.pages import NotThere
from connectors.ports import Away
from schemas.log import TopicPartition

SOURCE = TopicPartition("fleet.telemetry", 1)


class Client:
    """A consumer that finds no partition, and what it is told of the topic: its error or its partitions."""

    def __init__(self, brokers: int, error: int | None, partitions: int = 0, asking: int = KafkaError._UNKNOWN_PARTITION):
        told = SimpleNamespace(
            error=None if error is None else KafkaError(error), partitions=dict.fromkeys(range(partitions))
        )
        self._brokers: Mapping[int, Any] = dict.fromkeys(range(brokers))
        self._topics, self._asking = {SOURCE.topic: told}, asking

    def offsets_for_times(self, partitions: Any, seconds: float) -> Any:
        raise KafkaException(KafkaError(self._asking))

    def list_topics(self, topic: str, seconds: float) -> Any:
        return SimpleNamespace(brokers=self._brokers, topics=self._topics)

    def consume(self, most: int, seconds: float) -> list[Any]:
        return []

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("client", [Client(3, KafkaError.UNKNOWN_TOPIC_OR_PART), Client(1, None, partitions=1)])
def test_what_the_whole_cluster_does_not_know_is_not_there(client: Client) -> None:
    assert _bounds(client, [SOURCE], time.monotonic() + 1) == {}


@pytest.mark.parametrize(
    "client", [Client(0, KafkaError.UNKNOWN_TOPIC_OR_PART), Client(0, None), Client(1, None, partitions=2)]
)
def test_what_nobody_could_find_out_is_away(client: Client) -> None:
    with pytest.raises(Away):
        _bounds(client, [SOURCE], time.monotonic() + 1)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (Client(0, KafkaError.UNKNOWN_TOPIC_OR_PART), Away),
        (Client(1, KafkaError.LEADER_NOT_AVAILABLE), Away),
        (Client(1, None, asking=KafkaError._DESTROY_BROKER), Away),
        (Client(1, KafkaError.UNKNOWN_TOPIC_OR_PART), NotThere),
        (Client(1, None, asking=KafkaError.TOPIC_AUTHORIZATION_FAILED), KafkaException),
    ],
)
def test_a_reader_says_the_same(monkeypatch: pytest.MonkeyPatch, client: Client, expected: type[Exception]) -> None:
    pages = KafkaPages("nowhere:1", seconds=1.0)
    monkeypatch.setattr(pages, "_made", lambda: client)
    with pytest.raises(expected):
        asyncio.run(pages.page(SOURCE, 0, 1, 1))
    with pytest.raises(expected):
        asyncio.run(pages.find(SOURCE, 0))
    pages.close()
