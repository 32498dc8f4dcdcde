"""The notifier in real workers, on a real broker, before a real receiver that counts: killed again and again, it tells each
transition once."""

import itertools
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

import httpx
import pytest
from confluent_kafka import Producer

from infra import compose, deciders
from infra.settings import Settings
from infra.stack.harness import Stack
from schemas import alert_messages
from schemas import contract as contracts
from schemas.alert_messages import ALERTS
from schemas.notification_messages import (
    NOTIFICATIONS_TOPIC,
    Notification,
    NotificationFailed,
    NotificationPlanned,
    NotificationSent,
)
from streams.notify.notifier import NOTIFICATIONS
from tests.connectors.notify.receiver import Receiver, hang, receiving, say
from tests.shared_stack import SharedStack
from tests.streams.notify.world import MORE

pytestmark = pytest.mark.stack
SERVICES = ("broker", "redis", "registry", "topics", "schemas", "workers")
SPACE = UUID(int=11)
PATIENCE = 60.0


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving(say(200)) as made:
        yield made


@pytest.fixture(scope="module")
def stuck() -> Iterator[Receiver]:
    with receiving(hang(30)) as made:
        yield made


@pytest.fixture(scope="module")
def stack(
    shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, stuck: Receiver
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("notifier")
    file = folder / "channels.yaml"
    file.write_text(
        f"""
default: [hook]
group_wait: 0
group_interval: 0
channels:
  hook: {{kind: webhook, url: '{receiver.url}', allow_private: true}}
  stuck: {{kind: webhook, url: '{stuck.url}', allow_private: true, seconds: 1, attempts: 2}}
  inside: {{kind: webhook, url: '{receiver.url}'}}
""",
        "utf-8",
    )
    settings = Settings(views="device_state", deciders="none", channels=str(file), session_timeout=6.0)
    with shared_stack.lend(folder, SERVICES, workers=2, settings=settings) as running:
        yield running


class Alerts:
    """Writes alert events as the engine does: in transactions."""

    def __init__(self, stack: Stack) -> None:
        codecs = deciders.codecs(contracts.load(), compose.registry(stack.settings), (ALERTS, NOTIFICATIONS_TOPIC))
        self.codecs = codecs
        self._producer = Producer(
            {"bootstrap.servers": stack.settings.kafka, "transactional.id": "engine", "partitioner": "murmur2_random"}
        )
        self._producer.init_transactions(30)
        self._count = itertools.count()

    def write(self, kind: str, number: int, **other: Any) -> str:
        now, alert_id, home = time.time_ns() // 1_000, str(uuid5(SPACE, str(number))), f"greenhouse-{number}"
        place = next(self._count)
        values: dict[str, Any] = {
            "event_id": str(uuid5(UUID(alert_id), str(place))), "command_id": alert_id, "correlation_id": alert_id,
            "actor": "engine", "occurred_at": now, "received_at": now, "alert_id": alert_id, "home_key": home,
            "number": place, "rule_id": f"hot-{number}", "rule_version": 1, "device_id": home, "group": "",
            "severity": "critical", "labels": "{}", "annotations": "{}", "value": 1.5, "cause": None, "mode": "live",
            "channels": (), "muted_by": None, "since": now, **MORE.get(kind, {}), **other,
        }  # fmt: skip
        event = getattr(alert_messages, kind)(**values)
        self._producer.begin_transaction()
        self._producer.produce(ALERTS, self.codecs[ALERTS].encode(event), home.encode())
        self._producer.commit_transaction(30)
        return str(event.event_id)


@pytest.fixture(scope="module")
def alerts(stack: Stack) -> Alerts:
    owner(stack)
    return Alerts(stack)


def owner(stack: Stack) -> int:
    """The worker that notifies."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for index in range(2):
            try:
                told = httpx.get(f"http://127.0.0.1:{stack.settings.worker_metrics_port + index}/health", timeout=2).json()
            except httpx.HTTPError:
                continue
            if told["notifier"]["partitions"]:
                return index
        time.sleep(0.1)
    raise AssertionError("no worker notifies")


def recorded(stack: Stack, alerts: Alerts) -> list[Notification]:
    reader = compose.whole_log(stack.settings)
    try:
        first, last = reader.bounds([NOTIFICATIONS_TOPIC])[NOTIFICATIONS]
        values = [value for batch in reader.read(NOTIFICATIONS, first, last) for value in batch.values]
    finally:
        reader.close()
    messages = [alerts.codecs[NOTIFICATIONS_TOPIC].decode(value) for value in values]
    return [message for message in messages if isinstance(message, Notification)]


def until_told(receiver: Receiver, transitions: set[str]) -> None:
    until = time.monotonic() + PATIENCE
    while not transitions <= set(receiver.transitions()):
        assert time.monotonic() < until, f"not told: {len(transitions - set(receiver.transitions()))} of {len(transitions)}"
        time.sleep(0.05)


def test_a_hanging_receiver_and_a_private_address_are_bounded_and_hold_up_nobody(
    stack: Stack, alerts: Alerts, receiver: Receiver, stuck: Receiver
) -> None:
    started = time.monotonic()
    told = alerts.write("AlertFired", 900, channels=("stuck", "inside", "hook"))
    until_told(receiver, {told})
    assert time.monotonic() - started < 10
    until = time.monotonic() + PATIENCE
    while True:
        failed = {one.channel: one for one in recorded(stack, alerts) if isinstance(one, NotificationFailed)}
        if {"stuck", "inside"} <= set(failed):
            break
        assert time.monotonic() < until, f"failures: {sorted(failed)}"
        time.sleep(0.1)
    assert (failed["stuck"].reason, failed["stuck"].attempts) == ("timeout", 2)
    assert (failed["inside"].reason, failed["inside"].attempts) == ("forbidden_address", 1)
    assert len(receiver.counted()) == 1, "the private address was sent to"


def test_kills_at_any_time_lose_and_double_nothing(stack: Stack, alerts: Alerts, receiver: Receiver) -> None:
    written: set[str] = set()
    number = itertools.count()
    for _ in range(4):
        for _ in range(12):
            one = next(number)
            written.add(alerts.write("AlertFired", one))
            if one % 2:
                written.add(alerts.write("AlertResolved", one))
            time.sleep(0.03)
        stack.kill(f"worker-{owner(stack)}", signal.SIGKILL)
    until_told(receiver, written)
    transitions = receiver.transitions()
    assert {one: transitions[one] for one in written if transitions[one] != 1} == {}
    owner(stack)
    until = time.monotonic() + PATIENCE
    while True:
        records = recorded(stack, alerts)
        planned = [one for one in records if isinstance(one, NotificationPlanned) and one.channel == "hook"]
        sent = Counter(one.notification_id for one in records if isinstance(one, NotificationSent))
        if all(sent[one.notification_id] == 1 for one in planned):
            break
        assert time.monotonic() < until, "a plan has no outcome, or two"
        time.sleep(0.1)
    told = Counter(one for plan in planned for one in plan.transitions)
    assert all(count == 1 for count in told.values())
    assert set(receiver.counted()) == {plan.notification_id for plan in planned}
    content = json.loads(planned[0].content)
    assert set(content) == {"status", "reason", "group_key", "at", "transitions", "alerts"}
