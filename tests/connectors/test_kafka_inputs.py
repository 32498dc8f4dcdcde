"""Inputs of the rules' engines: what becomes of a client that does not get over a broker that stood still."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors import kafka_inputs
from connectors.kafka_inputs import KafkaInputs
from connectors.ports import Away
from schemas.log import TopicPartition

SOURCE = TopicPartition("fleet.telemetry", 0)


class FakeAdmin:
    """Tells an end of 5, or fails for good."""

    def __init__(self, failure: int | None) -> None:
        self._failure = failure

    def list_offsets(self, asked: dict[Any, Any], **times: Any) -> dict[Any, Future[Any]]:
        future = Future[Any]()
        if self._failure is None:
            future.set_result(SimpleNamespace(offset=5))
        else:
            future.set_exception(KafkaException(KafkaError(self._failure)))
        return dict.fromkeys(asked, future)


def test_a_client_that_knows_old_epochs_gives_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [FakeAdmin(KafkaError.FENCED_LEADER_EPOCH), FakeAdmin(None)]
    monkeypatch.setattr(kafka_inputs, "Consumer", lambda options, logger: SimpleNamespace(assign=lambda positions: None))
    monkeypatch.setattr(kafka_inputs, "AdminClient", lambda options, logger: made.pop(0))
    inputs = KafkaInputs("nowhere:1")
    inputs.assign({SOURCE: 0})
    with pytest.raises(Away):
        inputs.behind([SOURCE])
    assert inputs.behind([SOURCE]) == inputs.behind([SOURCE]) == {SOURCE}
    assert made == []
