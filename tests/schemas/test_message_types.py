"""Every record of a topic of commands has a message type; of an event topic, every one that a decider writes."""

import pytest

from schemas.contract import load
from schemas.message_types import message_types
from schemas.messages import Command

TOPICS = load().topics


@pytest.mark.parametrize("name", ["fleet.registration.commands", "fleet.certificates.commands"])
def test_all_records_of_a_command_topic_are_commands(name: str) -> None:
    types = message_types(TOPICS[name])
    assert [made.__name__ for made in types] == [record.name for record in TOPICS[name].records]
    assert all(issubclass(made, Command) for made in types)


def test_a_record_type_without_message_type_is_left_out() -> None:
    topic = TOPICS["fleet.registration.events"]
    assert {record.name for record in topic.records} - {made.__name__ for made in message_types(topic)} == {
        "DeviceRegistered"
    }
