"""Which message types the records of a topic have."""

from schemas import (
    alert_messages,
    certificate_messages,
    correction_messages,
    drift_messages,
    notification_messages,
    registration_commands,
    registration_events,
    rule_messages,
)
from schemas.contract import Topic
from schemas.messages import Message

MODULES = (
    registration_commands,
    registration_events,
    certificate_messages,
    correction_messages,
    drift_messages,
    rule_messages,
    alert_messages,
    notification_messages,
)


def message_types(topic: Topic) -> list[type[Message]]:
    """The message types of a topic's records; a record type of the columnar views has none."""
    named = [getattr(module, record.name, None) for record in topic.records for module in MODULES]
    return [made for made in named if isinstance(made, type) and issubclass(made, Message)]
