"""Which errors of the client say that a broker is away."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka_log import answer
from connectors.ports import Away


@pytest.mark.parametrize("code", [KafkaError.FENCED_LEADER_EPOCH, KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError._TRANSPORT])
def test_a_leader_that_has_come_back_is_waited_for(code: int) -> None:
    def refused() -> None:
        raise KafkaException(KafkaError(code))

    with pytest.raises(Away):
        answer(refused)


def test_what_is_no_outage_is_told_as_it_is() -> None:
    def refused() -> None:
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(KafkaException):
        answer(refused)
