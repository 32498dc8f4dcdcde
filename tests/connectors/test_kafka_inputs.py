"""Inputs of the rules' engines: what becomes of a client that does not get over a broker that stood still."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition

from connectors import kafka_inputs
from connectors.kafka_inputs import KafkaInputs
from connectors.ports import Away
from schemas.log import TopicPartition

SOURCE = TopicPartition("fleet.telemetry", 0)


class FakeConsumer:
    """Tells an end of 5, or fails for good."""

    def __init__(self, failure: int | None) -> None:
        self._failure = failure

    def assign(self, positions: Any) -> None:
        """What is read is of no interest here."""

    def offsets_for_times(self, asked: list[KafkaPartition], seconds: float) -> list[Any]:
        error = None if self._failure is None else KafkaError(self._failure)
        return [SimpleNamespace(topic=one.topic, partition=one.partition, offset=5, error=error) for one in asked]


def made_of(monkeypatch: pytest.MonkeyPatch, *failures: int | None) -> tuple[KafkaInputs, list[FakeConsumer]]:
    """Inputs whose clients, after the one that reads, fail like that."""
    made = [FakeConsumer(None), *map(FakeConsumer, failures)]
    monkeypatch.setattr(kafka_inputs, "Consumer", lambda options, logger: made.pop(0))
    inputs = KafkaInputs("nowhere:1")
    inputs.assign({SOURCE: 0})
    return inputs, made


def test_a_client_that_knows_old_epochs_gives_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, made = made_of(monkeypatch, KafkaError.FENCED_LEADER_EPOCH, None)
    with pytest.raises(Away):
        inputs.behind([SOURCE])
    assert inputs.behind([SOURCE]) == inputs.behind([SOURCE]) == {SOURCE}
    assert made == []


def test_another_failure_is_none_that_waiting_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, _ = made_of(monkeypatch, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with pytest.raises(KafkaException):
        inputs.behind([SOURCE])


def test_of_nothing_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, made = made_of(monkeypatch, None)
    assert inputs.behind([]) == set()
    assert len(made) == 1
