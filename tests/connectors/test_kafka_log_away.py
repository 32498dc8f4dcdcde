"""What of the client's errors means that waiting helps."""

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka_log import answer
from connectors.ports import Away


def failing(code: int) -> Callable[[], None]:
    def call() -> None:
        raise KafkaException(KafkaError(code))

    return call


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC])
def test_a_broker_that_does_not_answer_or_has_just_come_back_is_away(code: int) -> None:
    with pytest.raises(Away):
        answer(failing(code))


def test_what_no_waiting_helps_against_is_not() -> None:
    with pytest.raises(KafkaException):
        answer(failing(KafkaError.TOPIC_AUTHORIZATION_FAILED))
