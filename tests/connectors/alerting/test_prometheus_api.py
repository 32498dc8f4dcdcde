"""Rules and alerts as Prometheus and Alertmanager tell them: the documented shapes, of real events."""

from datetime import datetime
from typing import Any

import pytest

from connectors.ports import Away
from tests.connectors.alerting.test_alerting_api import Ask, World, ask, world

__all__ = ["ask", "world"]


def data(ask: Ask, path: str) -> Any:
    answer = ask("GET", path)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["status"] == "success"
    return told["data"]


def test_alerts_of_prometheus(ask: Ask) -> None:
    (alert,) = data(ask, "/api/v1/alerts")["alerts"]
    assert set(alert) == {"labels", "annotations", "state", "activeAt", "value"}
    assert alert["state"] == "firing"
    assert alert["labels"]["alertname"] == "hot"
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert all(isinstance(value, str) for value in alert["labels"].values())
    float(alert["value"])
    assert datetime.fromisoformat(alert["activeAt"]).tzinfo is not None


def test_rules_of_prometheus(ask: Ask) -> None:
    (group,) = data(ask, "/api/v1/rules")["groups"]
    (rule,) = group["rules"]  # the shadow is no rule of theirs
    assert {"name", "file", "interval", "rules"} <= set(group)
    assert (rule["type"], rule["name"], rule["state"], rule["health"]) == ("alerting", "hot", "firing", "ok")
    assert rule["query"]
    assert rule["duration"] >= 0
    assert [alert["state"] for alert in rule["alerts"]] == ["firing"]
    assert data(ask, "/api/v1/rules?type=record") == {"groups": []}


def test_alerts_of_alertmanager(ask: Ask) -> None:
    answer = ask("GET", "/api/v2/alerts?active=true&silenced=false&inhibited=false&unprocessed=false")
    (alert,) = answer.json()
    assert set(alert) == {
        "labels", "annotations", "startsAt", "endsAt", "updatedAt", "fingerprint", "generatorURL", "receivers", "status",
    }  # fmt: skip
    assert alert["status"]["state"] == "active"
    assert ask("GET", "/api/v2/alerts?active=false").json() == []


@pytest.mark.parametrize("query", ["/api/v1/rules?type=x", "/api/v2/alerts?filter=a", "/api/v2/alerts?active=yes"])
def test_what_is_not_understood_is_told_in_their_form(ask: Ask, query: str) -> None:
    answer = ask("GET", query)
    assert answer.status_code == 400
    assert answer.json()["status"] == "error"
    assert answer.json()["errorType"] == "bad_data"


def test_the_broker_away_and_nobody_s_key(ask: Ask, world: World) -> None:
    world[1].fault = Away("the broker is away")
    assert ask("GET", "/api/v1/alerts").json()["errorType"] == "unavailable"
    world[1].fault = None
    for path in ("/api/v1/alerts", "/api/v1/rules", "/api/v2/alerts"):
        answer = ask("GET", path, "nobody")
        assert (answer.status_code, answer.json()["errorType"]) == (401, "unauthorized")
