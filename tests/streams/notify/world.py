"""A log of alerts in memory, a notifier on it that can be killed, and receivers that count."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

import msgspec

from connectors.memory import MemoryLog
from connectors.memory_transactions import MemoryGroup, MemoryTransactions
from connectors.notify.channel import Notice, Undelivered
from connectors.notify.configuration import Channels, Configured
from connectors.notify.sending import Outcome, Patience, send
from schemas import alert_messages
from schemas.alert_messages import ALERTS, AlertEvent
from schemas.contract import load
from schemas.log import TopicPartition
from schemas.message_types import message_types
from schemas.messages import Messages
from schemas.notification_messages import NOTIFICATIONS_TOPIC, Notification, NotificationPlanned
from schemas.partitioner import partition_of
from schemas.rule_messages import RULE_EVENTS, RuleApplied
from schemas.rules.document import canonical
from schemas.rules.reading import read
from streams.notify.notifier import NOTIFICATIONS, Journal, Notifier

CONTRACT = load()
SECOND = 1_000_000
BEGAN = 1_795_302_000 * SECOND
SPACE = UUID(int=7)


class Killed(BaseException):
    """The process ends here."""


class Registry:
    """Schema ids of the contract's schemas."""

    def __init__(self) -> None:
        self.schemas: list[Any] = []

    def register(self, subject: str, schema: Any) -> int:
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    def schema(self, number: int) -> Any:
        return self.schemas[number - 1]


class Inbox:
    """A channel that counts. `knows_repeats`: by the notice's id, as a receiver that keeps keys would."""

    kind = "webhook"

    def __init__(self, knows_repeats: bool, tells_resolved: bool = True) -> None:
        self.knows_repeats, self.tells_resolved = knows_repeats, tells_resolved
        self.came: list[Notice] = []
        self.fault: Undelivered | None = None

    def deliver(self, notice: Notice, seconds: float) -> str:
        if self.fault is not None:
            raise self.fault
        self.came.append(notice)
        return "ok"

    def told(self) -> list[tuple[str, str]]:
        """Alert and event of all that was told, in order; a repeat of a notice counts once where the receiver knows it."""
        seen: set[str] = set()
        found = []
        for notice in self.came:
            if not (self.knows_repeats and notice.id in seen):
                found += [(alert["alert_id"], alert["event"]) for alert in notice.content["alerts"]]
            seen.add(notice.id)
        return found


class InlineSender:
    """A Sender that sends at once. `point` is called with a name at each point where the process may end."""

    def __init__(self, channels: Callable[[], Channels], point: Callable[[str], None]) -> None:
        self._channels, self._point = channels, point
        self._done: list[tuple[NotificationPlanned, Outcome]] = []

    def busy(self) -> set[str]:
        return {planned.channel for planned, _ in self._done}

    def sending(self, notification_id: str) -> bool:
        return any(planned.notification_id == notification_id for planned, _ in self._done)

    def submit(self, planned: NotificationPlanned) -> None:
        self._point("before sending")
        known = self._channels().named.get(planned.channel)
        if known is None:
            outcome: Outcome | None = Outcome(0, "not_configured", "")
        else:
            notice = Notice(planned.notification_id, msgspec.json.decode(planned.content))
            outcome = send(known.channel, notice, Patience(1), lambda seconds: False)
        self._point("after sending")
        assert outcome is not None
        self._done.append((planned, outcome))

    def outcomes(self) -> list[tuple[NotificationPlanned, Outcome]]:
        found, self._done = self._done, []
        return found

    def stop(self, seconds: float) -> None:
        """Nothing runs."""


class Transactions(MemoryTransactions):
    """With points where the process may end, before and after a commit."""

    def __init__(self, log: MemoryLog, group: MemoryGroup, point: Callable[[str], None]) -> None:
        super().__init__(log, group)
        self._point = point

    def write(self, records: Any, consumed: Any, member: int) -> list[int]:
        self._point("before the commit")
        offsets = super().write(records, consumed, member)
        self._point("after the commit")
        return offsets


class World:
    """`inboxes`: channels by name."""

    def __init__(self, inboxes: dict[str, Inbox], **policy: Any) -> None:
        registry = Registry()
        self.log = MemoryLog({ALERTS: 6, NOTIFICATIONS_TOPIC: 1, RULE_EVENTS: 1})
        self.codecs = {
            name: Messages(CONTRACT.topics[name], message_types(CONTRACT.topics[name]), registry.register, registry.schema)
            for name in (ALERTS, NOTIFICATIONS_TOPIC, RULE_EVENTS)
        }
        self.inboxes, self.group = inboxes, MemoryGroup()
        told = {"default": tuple(inboxes), "group_wait": 0.0, "group_interval": 0.0, **policy}
        self.channels = Channels({name: Configured(box, Patience(1)) for name, box in inboxes.items()}, **told)
        self.now = BEGAN
        self.deaths = 0
        self.points = 0
        self.kill_at: int | None = None
        self.numbers: Counter[str] = Counter()

    def point(self, name: str) -> None:
        self.points += 1
        if self.kill_at is not None and self.points >= self.kill_at:
            self.kill_at = None
            raise Killed(name)

    def notifier(self) -> Notifier:
        """A process's, started."""
        self.group.join()
        made = Notifier(
            Journal(
                self.log,
                self.codecs,
                Transactions(self.log, self.group, self.point),
                lambda source: self.log.bounds([source.topic])[source][1],
            ),
            lambda: self.channels,
            InlineSender(lambda: self.channels, self.point),
            actor="worker-0",
            clock=lambda: self.now,
            told=lambda channel, what: None,
        )
        made.start(self.group.committed)
        return made

    def rule(self, document: str) -> None:
        """Put a rule in force."""
        rule = read(document)
        applied = RuleApplied(
            command_id=str(SPACE), correlation_id=str(SPACE), actor="me", event_id=str(SPACE), occurred_at=self.now,
            received_at=self.now, rule_id=rule.id, version=1, digest=b"d" * 32, document=canonical(rule).decode(),
            mode="live",
        )  # fmt: skip
        self.log.append(TopicPartition(RULE_EVENTS, 0), b"rules", self.codecs[RULE_EVENTS].encode(applied))

    def alert(self, kind: str, number: int, home: str = "", **other: Any) -> AlertEvent:
        """Write an event of an alert."""
        alert_id = str(uuid5(SPACE, str(number)))
        home = home or f"greenhouse-{number}"
        count = self.numbers[alert_id]
        self.numbers[alert_id] += 1
        values: dict[str, Any] = {
            "event_id": str(uuid5(UUID(alert_id), str(count))),
            "command_id": alert_id,
            "correlation_id": alert_id,
            "actor": "engine",
            "occurred_at": self.now,
            "received_at": self.now,
            "alert_id": alert_id,
            "home_key": home,
            "number": count,
            "rule_id": "hot",
            "rule_version": 1,
            "device_id": home,
            "group": "",
            "severity": "critical",
            "labels": "{}",
            "annotations": '{"summary":"too hot"}',
            "value": 101.5,
            "cause": None,
            "mode": "live",
            "channels": (),
            "muted_by": None,
            "since": self.now,
            **MORE.get(kind, {}),
            **other,
        }
        event: AlertEvent = getattr(alert_messages, kind)(**values)
        key = home.encode()
        self.log.append(TopicPartition(ALERTS, partition_of(key, 6)), key, self.codecs[ALERTS].encode(event))
        return event

    def settle(self, notifier: Notifier, steps: int = 6) -> None:
        """Let it do what there is to do, with some time between."""
        for _ in range(steps):
            notifier.step(self.group.generation)
            self.now += SECOND

    def recorded(self) -> list[Notification]:
        """All of fleet.notifications."""
        found = []
        first, last = self.log.bounds([NOTIFICATIONS_TOPIC])[NOTIFICATIONS]
        for batch in self.log.read(NOTIFICATIONS, first, last):
            for value in batch.values:
                message = self.codecs[NOTIFICATIONS_TOPIC].decode(value)
                assert isinstance(message, Notification)
                found.append(message)
        return found


MORE: dict[str, dict[str, Any]] = {
    "AlertPending": {"due_at": None},
    "AlertAcknowledged": {"comment": "on it"},
    "AlertEscalated": {"level": 1},
    "AlertRepeated": {"repeat": 1},
    "AlertFlapping": {"flapping": True, "changes": 5, "window": SECOND},
    "AlertSilenced": {"silence_id": None, "until": None, "comment": None, "muted_by": "silenced"},
    "AlertUnsilenced": {"silence_id": None, "comment": None},
    "AlertCommented": {"comment": "hm"},
    "AlertResolved": {"reason": "cleared", "fired_at": None},
}
