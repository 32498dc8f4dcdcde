"""What is told of alerts, and what became of it, as the avsc of the same names declare it."""

from schemas.messages import Event

NOTIFICATIONS_TOPIC = "fleet.notifications"


class Notification(Event, frozen=True, kw_only=True):
    """About one notification."""

    notification_id: str
    channel: str


class NotificationPlanned(Notification, frozen=True, kw_only=True):
    """It will be sent. `transitions[i]` is of the alert `alert_ids[i]`."""

    kind: str
    group_key: str
    reason: str
    level: int
    transitions: list[str]
    alert_ids: list[str]
    content: str


class NotificationSent(Notification, frozen=True, kw_only=True):
    """The receiver has taken it."""

    attempts: int
    detail: str


class NotificationFailed(Notification, frozen=True, kw_only=True):
    """It is given up."""

    attempts: int
    reason: str
    detail: str
