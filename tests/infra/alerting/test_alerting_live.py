"""A rule, from the file to the alert and back: engines, decider, ingress and command line together."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.api_key import api_key
from infra.cli.main import parser
from infra.settings import Settings
from infra.stack.harness import Stack
from schemas.partitioner import partition_of
from tests.connectors.notify.receiver import Receiver, receiving, say
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
SERVICES = ("broker", "redis", "registry", "topics", "schemas", "ingress", "workers")
HOT = """id: hot
input: telemetry
when: temperature > 100.0
annotations:
  summary: "{{ device.id }} is at {{ value | .1f }}"
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving(say(200)) as made:
        yield made


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("live")
    hook = f"{{kind: webhook, url: '{receiver.url}', allow_private: true}}"
    (folder / "channels.yaml").write_text(f"group_wait: 0\ngroup_interval: 0\nchannels: {{hook: {hook}}}\n")
    settings = Settings(views="device_state", deciders="rules", channels=str(folder / "channels.yaml"))
    with shared_stack.lend(folder, SERVICES, settings=settings) as running:
        yield running


@pytest.fixture
def fleetlog(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*words: object) -> Any:
        options = parser().parse_args([*(str(word) for word in words), "--json"])
        code = options.run(options, stack.settings)
        said = capsys.readouterr()
        assert code == 0, said
        return json.loads(said.out)

    return run


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.settings.ingress, headers={"X-API-Key": api_key(stack.settings)}, timeout=60) as made:
        yield made


def read(client: httpx.Client, sequence: int, value: float) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    reading = {"metric": "temperature", "at": at, "value": value, "unit": "Cel"}
    body = {"boot_id": "b1", "sequence": sequence, "occurred_at": at, "readings": [reading]}
    client.post("/v1/devices/greenhouse-1/telemetry", json=body).raise_for_status()


def happen(client: httpx.Client, device: str, what: str) -> None:
    """An event of a device."""
    at, number = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.time_ns() // 1_000_000
    body = {"boot_id": "b1", "sequence": number, "occurred_at": at, "event_type": what, "metadata": {}, "media_files": []}
    client.post(f"/v1/devices/{device}/events", json=body).raise_for_status()


def until(what: Callable[[], Any]) -> Any:
    limit = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < limit
        time.sleep(0.2)
    return found


def test_from_a_file_to_an_alert_and_back(fleetlog: Callable[..., Any], client: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "hot.yaml"
    file.write_text(HOT)
    fleetlog("rule", "apply", file)
    read(client, 1, 50.0)
    read(client, 2, 120.5)
    (alert,) = until(lambda: fleetlog("alert", "list", "--state", "firing"))
    assert (alert["rule_id"], alert["device_id"], alert["value"]) == ("hot", "greenhouse-1", 120.5)
    assert alert["annotations"] == {"summary": "greenhouse-1 is at 120.5"}
    assert fleetlog("alert", "ack", alert["alert_id"][:8], "--comment", "on my way")["event"] == "AlertAcknowledged"
    keyed: dict[str, Any] = {"json": {"comment": "a fan is broken"}, "headers": {"Idempotency-Key": "c1"}}
    said, repeated = [client.post(f"/v1/alerts/{alert['alert_id']}/comment", **keyed) for _ in range(2)]
    assert said.json()["event"]["event"] == "AlertCommented", said.text
    assert (repeated.content, repeated.headers.get("idempotent-replayed")) == (said.content, "true")
    again = client.post(f"/v1/alerts/{alert['alert_id']}/ack")
    assert (again.status_code, again.json()["code"]) == (409, "ALREADY_ACKNOWLEDGED")
    assert fleetlog("alert", "silence", alert["alert_id"], "--for", "1h")["event"] == "AlertSilenced"
    read(client, 3, 60.0)
    (over,) = until(lambda: fleetlog("alert", "list", "--state", "resolved"))
    assert (over["acknowledged_by"] is not None, [one["text"] for one in over["comments"]]) == (
        True,
        ["on my way", "a fan is broken"],
    )
    steps = fleetlog("alert", "explain", alert["alert_id"])
    kinds = ["AlertFired", "AlertAcknowledged", "AlertCommented", "AlertSilenced", "AlertResolved"]
    assert [one["event"] for one in steps] == kinds
    assert client.get("/v1/alerts", params={"state": "resolved"}).json()["alerts"][0]["alert_id"] == alert["alert_id"]


def test_the_past(fleetlog: Callable[..., Any], client: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "hot.yaml"
    file.write_text(HOT)
    same = fleetlog("rule", "backtest", file, "--from", "-10m")
    assert (same["incidents"], same["open"], same["difference"]["both"]) == (1, 0, 1)
    file.write_text(HOT.replace("100.0", "40.0"))
    lower = fleetlog("rule", "backtest", file, "--from=-10m")
    assert lower["incidents"] == 1
    served = client.post("/v1/backtests", params={"from": "-10m"}, content=HOT.replace("100.0", "200.0"))
    assert (served.status_code, served.json()["incidents"]) == (200, 0), served.text
    assert len(served.json()["difference"]["only_live"]) == 1
    steps = fleetlog("rule", "why", "hot", "greenhouse-1", "--last", "10m")["steps"]
    assert [one["says"] for one in steps if one.get("says")] == ["cleared", "raised", "cleared"]
    assert "AlertFired" in [one.get("event") for one in steps]


MANY = """id: flooded
input: fleet
aggregate: {of: device-event, window: 10s, measures: {bad: {count: "event_type == 'flood'"}}}
when: bad >= 6
"""


def test_the_fleet_is_counted_over_all_partitions(
    fleetlog: Callable[..., Any], client: httpx.Client, tmp_path: Path
) -> None:
    """No partition alone has as many."""
    file = tmp_path / "flooded.yaml"
    file.write_text(MANY)
    fleetlog("rule", "apply", file)
    time.sleep(2.0)  # in force everywhere
    devices = [f"pump-{number}" for number in range(6)]
    assert len({partition_of(device.encode(), 6) for device in devices}) > 2
    for device in devices:
        happen(client, device, "flood")
    (alert,) = until(lambda: fleetlog("alert", "list", "--all", "--rule", "flooded"))
    assert (alert["home_key"], alert["device_id"], alert["value"]) == ("fleet/flooded/", None, 6.0)
    found = fleetlog("rule", "backtest", file, "--from", "-10m")
    difference = found["difference"]
    assert (found["incidents"], difference["both"], difference["only_here"], difference["only_live"]) == (1, 1, [], [])


SITE = """id: site-down
input: device-event
when: event_type == "site_down"
clear: event_type == "site_up"
channels: [hook]
"""
DOOR = """id: door
input: device-event
when: event_type == "door_open"
clear: event_type == "door_closed"
channels: [hook]
inhibited_by: [{rule: site-down}]
"""


def test_nobody_is_told_of_what_another_rule_keeps_back(
    fleetlog: Callable[..., Any], client: httpx.Client, receiver: Receiver, tmp_path: Path
) -> None:
    for name, text in (("site.yaml", SITE), ("door.yaml", DOOR)):
        (tmp_path / name).write_text(text)
    fleetlog("rule", "apply", tmp_path / "site.yaml", tmp_path / "door.yaml")
    time.sleep(2.0)

    def told() -> list[tuple[Any, ...]]:
        bodies: list[Any] = [came.json() for came in receiver.came]
        return [(one["rule_id"], one["device_id"], one["event"]) for body in bodies for one in body["alerts"]]

    happen(client, "site-1", "site_down")
    until(lambda: ("site-down", "site-1", "fired") in told())
    happen(client, "site-1", "door_open")
    until(lambda: fleetlog("alert", "list", "--rule", "door", "--device", "site-1"))
    happen(client, "site-2", "door_open")
    until(lambda: ("door", "site-2", "fired") in told())
    assert "site-1" not in [device for rule, device, _ in told() if rule == "door"]
    happen(client, "site-1", "site_up")
    until(lambda: ("door", "site-1") in [one[:2] for one in told()])
    names = [one[:2] for one in told()]
    assert names.count(("site-down", "site-1")) == 2
    assert names.index(("door", "site-1")) > names.index(("door", "site-2"))


def test_the_rules_that_are_brought_along(fleetlog: Callable[..., Any], client: httpx.Client) -> None:
    applied = fleetlog("rule", "builtin", "--apply")["rules"]
    assert {one["event"] for one in applied} == {"RuleApplied"}
    listed = {one["rule_id"]: one["state"] for one in fleetlog("rule", "list")}
    assert {listed[one["rule_id"]] for one in applied} == {"in_force"}
    assert {one["event"] for one in fleetlog("rule", "builtin", "--apply")["rules"]} == {"RuleUnchanged"}
    time.sleep(2.0)
    happen(client, "greenhouse-1", "ota_failed")
    (alert,) = until(lambda: fleetlog("alert", "list", "--rule", "ota-failure"))
    assert (alert["severity"], alert["device_id"], alert["state"]) == ("critical", "greenhouse-1", "firing")
    happen(client, "greenhouse-1", "ota_succeeded")
    until(lambda: not fleetlog("alert", "list", "--rule", "ota-failure"))
