"""The built-in rules, each raised and cleared by the real engine, language and lifecycle over records of the contract."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest

from infra.builtin import RULES_FOLDER, builtin_documents
from schemas.contract import load
from schemas.record_columns import decoder_of
from schemas.rule_messages import RuleApplied
from schemas.rules.document import canonical
from schemas.rules.reading import read
from streams.alerts.lifecycle import AlertLifecycle
from streams.rules import facts
from streams.rules.compiled import compile_rule
from streams.rules.cuts import ORDER, REGISTRATION
from streams.rules.engine import Engine
from streams.rules.evaluator import RuleEvaluator
from streams.rules.reading import Readers, facts_of
from streams.rules.state import State
from tests.streams.rules.world import SECOND, SPACE, START, World

CONTRACT = load()
EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
DEVICE = "greenhouse-1"
MINUTE, DAY = 60.0, 86_400.0


def evaluator(event: RuleApplied) -> RuleEvaluator:
    return RuleEvaluator(compile_rule(read(event.document), CONTRACT), event.version)


class Fleet(World):
    """The world of the engine's tests, with real rules and alerts."""

    def make_state(self, partition: int = 0) -> State:
        columns = {name: decoder_of(CONTRACT.topics[name], self.registry.schema) for name in ORDER if name != "fleet.rules"}
        read_facts = facts_of(decoder_of(CONTRACT.topics[REGISTRATION], self.registry.schema, facts.RECORDS))
        return State(
            partition, 1, Readers(self.codecs, columns, read_facts), evaluator, AlertLifecycle(lambda rule, fields: {})
        )

    def apply(self, name: str) -> None:
        identity = str(uuid5(SPACE, name))
        document = canonical(read((RULES_FOLDER / f"{name}.yaml").read_bytes())).decode()
        event = RuleApplied(
            command_id=identity, correlation_id=identity, actor="me", event_id=identity, occurred_at=START,
            received_at=START, rule_id=name, version=1, digest=b"d" * 32, document=document, mode="live",
        )  # fmt: skip
        self.message("fleet.rules", "rules", event)

    def put(self, topic: str, record: str, at: float, **values: Any) -> None:
        """An example of a record with other values; `at`: seconds behind START. A nested one is named a__b."""
        example: dict[str, Any] = json.loads((EXAMPLES / record / "typical.json").read_text("utf-8"))["values"]
        self.sequences[record] = self.sequences.get(record, 0) + 1
        when = START + int(at * SECOND)
        for name in {"key_hash", "certificate", "public_key", "fingerprint"} & example.keys():  # examples have bytes as text
            example[name] = example[name].encode("latin-1")
        common = {"occurred_at": when, "received_at": when, "device_id": DEVICE, "sequence": self.sequences[record]}
        common["event_id"] = str(uuid5(SPACE, f"{record}/{self.sequences[record]}"))
        example |= {name: value for name, value in common.items() if name in example}
        for name, value in values.items():
            inner = example
            *path, last = name.split("__")
            for step in path:
                inner = inner[step]
            inner[last] = value
        self.send(topic, DEVICE, self.record(topic, record, example), when)


Heard = list[tuple[float, Mapping[str, Any]]]


def heartbeats(*values: Mapping[str, Any]) -> Heard:
    return [(MINUTE * number, one) for number, one in enumerate(values)]


MEMORY = {"memory_usage__total": 1000, "disk_usage__total": 1000}
ERRORS = {f"error_count__{part}_errors": 0 for part in ("camera", "network", "storage", "detection")}
HEARTBEAT = {
    "device-cpu": heartbeats({"cpu_usage__idle": 50.0}, {"cpu_usage__idle": 10.0}, {"cpu_usage__idle": 60.0}),
    "device-memory": heartbeats(*({**MEMORY, "memory_usage__used": used} for used in (500, 950, 400))),
    "device-disk": heartbeats(*({**MEMORY, "disk_usage__used": used} for used in (500, 900, 400))),
    "packet-loss": heartbeats(*({"network_quality__packet_loss": loss} for loss in (0.5, 3.0, 0.0))),
    "detection-latency": heartbeats(*({"metrics__average_detection_latency": late} for late in (20.0, 180.0, 30.0))),
    "error-rate": [
        *heartbeats(ERRORS, {**ERRORS, "error_count__camera_errors": 40}),
        (20 * MINUTE, {**ERRORS, "error_count__camera_errors": 41}),
        (25 * MINUTE, {**ERRORS, "error_count__camera_errors": 41}),
    ],
    "resource-use": heartbeats(
        *(
            {"cpu_usage__idle": 100.0 - use / 10, **MEMORY, "memory_usage__used": use, "disk_usage__used": use}
            for use in (100, 900, 100)
        )
    ),
}
HEALTHY = {
    "requests": 1000, "client_errors": 0, "server_errors": 0, "redis_failures": 0, "clickhouse_failures": 0,
    "broker_failures": 0, "registry_failures": 0, "refused_handshakes": 0, "rate_limited": 0, "instance": DEVICE,
}  # fmt: skip
SYSTEM = {
    "api-error-rate": [(0.0, HEALTHY), (10.0, {**HEALTHY, "server_errors": 200}), (10 * MINUTE, HEALTHY)],
    "database-failures": [(0.0, HEALTHY), (10.0, {**HEALTHY, "redis_failures": 3}), (60.0, HEALTHY), (300.0, HEALTHY)],
}
EVENTS = {
    "configuration-updated": ("configuration_updated", "configuration_applied"),
    "model-update": ("model_update_available", "model_updated"),
    "planned-maintenance": ("maintenance_started", "maintenance_ended"),
    "ota-failure": ("ota_failed", "ota_succeeded"),
}


def told(world: Fleet, at: float) -> list[str]:
    """The kinds of events, in order; the last cut is at `at`, after a cut for each record."""
    events = world.play(Engine(world.make_state()), [*world.cuts, world.cut(at)])
    return [type(event).__name__ for event in events]


def raised_and_cleared(kinds: list[str]) -> bool:
    return [kind for kind in kinds if kind != "AlertPending"] == ["AlertFired", "AlertResolved"]


@pytest.mark.parametrize("name", HEARTBEAT)
def test_rules_about_heartbeats(name: str) -> None:
    world = Fleet()
    world.apply(name)
    for at, values in HEARTBEAT[name]:
        world.put("fleet.heartbeats", "HeartbeatReceived", at, **values)
        world.cut(at)
    assert raised_and_cleared(told(world, HEARTBEAT[name][-1][0] + 1))


@pytest.mark.parametrize("name", SYSTEM)
def test_rules_about_the_service_itself(name: str) -> None:
    world = Fleet()
    world.apply(name)
    for at, values in SYSTEM[name]:
        world.put("fleet.system", "ServiceHealthReported", at, **values)
        world.cut(at)
    assert raised_and_cleared(told(world, SYSTEM[name][-1][0] + 1))


@pytest.mark.parametrize("name", EVENTS)
def test_rules_about_device_events(name: str) -> None:
    world = Fleet()
    world.apply(name)
    for number, kind in enumerate(("meteor", *EVENTS[name])):
        world.put("fleet.device-events", "DeviceEventReceived", number * 10.0, event_type=kind)
        world.cut(number * 10.0)
    assert raised_and_cleared(told(world, 60.0))


def test_a_device_that_is_not_heard_of() -> None:
    world = Fleet()
    world.apply("device-offline")
    for at in (0.0, 60.0):
        world.put("fleet.heartbeats", "HeartbeatReceived", at)
        world.cut(at)
    world.cut(359.0)
    world.cut(361.0)
    world.put("fleet.heartbeats", "HeartbeatReceived", 400.0)
    assert raised_and_cleared(told(world, 401.0))


def test_a_new_device() -> None:
    world = Fleet()
    world.apply("new-device")
    world.put("fleet.registration.events", "DeviceRegistered", 0.0)
    world.cut(1.0)
    world.put("fleet.registration.events", "DeviceStateChanged", 60.0)
    assert raised_and_cleared(told(world, 61.0))


def test_too_many_registrations_fail() -> None:
    world = Fleet()
    world.apply("registration-failure-rate")
    for number in range(60):
        world.put("fleet.registration.events", "SessionOpened", number * 10.0)
        if number < 6:
            kind, values = ("CertificateFailed", {}) if number % 2 else ("ChallengeFailed", {"attempts_left": 0})
            world.put("fleet.registration.events", kind, number * 10.0 + 5.0, **values)
        world.put("fleet.registration.events", "ChallengeFailed", number * 10.0 + 6.0, attempts_left=1)
        world.cut(number * 10.0 + 7.0)
    for minute in range(11, 90):
        world.cut(minute * MINUTE)
    assert raised_and_cleared(told(world, 90 * MINUTE))


def test_a_certificate_that_ends_soon_and_is_renewed() -> None:
    world = Fleet()
    world.apply("certificate-expiry")
    early, late = (START + int(days * DAY) * SECOND for days in (90, 180))
    world.put("fleet.certificates", "CertificateIssued", 0.0, not_after=early)
    for day in (1, 82, 83, 84):
        world.cut(day * DAY)
    world.put("fleet.certificates", "CertificateRenewed", 84 * DAY, not_after=late)
    assert raised_and_cleared(told(world, 84 * DAY + 1))


def test_all_of_them_are_rules_and_tested() -> None:
    tested = {
        *HEARTBEAT,
        *SYSTEM,
        *EVENTS,
        "device-offline",
        "new-device",
        "certificate-expiry",
        "registration-failure-rate",
    }
    documents = builtin_documents()
    assert set(documents) == tested
    for name, text in documents.items():
        rule = read(text)
        assert rule.id == name
        assert rule.description
        compile_rule(rule, CONTRACT)
