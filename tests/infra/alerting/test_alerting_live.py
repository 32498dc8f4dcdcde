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
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(views="device_state", deciders="rules")
    with shared_stack.lend(tmp_path_factory.mktemp("live"), SERVICES, settings=settings) as running:
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


def until(what: Callable[[], Any]) -> Any:
    limit = time.monotonic() + 30
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
    said = client.post(f"/v1/alerts/{alert['alert_id']}/comment", json={"comment": "a fan is broken"})
    assert said.json()["event"]["event"] == "AlertCommented", said.text
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
