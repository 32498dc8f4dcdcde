"""Rules and alerts in the forms of Prometheus's HTTP API (v1) and Alertmanager's (v2), for clients that speak these."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from connectors.alerting import paging
from connectors.alerting.api import AlertingApi
from connectors.alerting.port import AlertingDesk, Asked
from connectors.http.request import Answer, Fault, Request, Route
from schemas.rules.durations import micros

Json = dict[str, Any]
NO_STORE = [(b"cache-control", b"no-store")]
ERRORS = {400: "bad_data", 401: "unauthorized", 403: "forbidden", 404: "not_found", 422: "bad_data", 503: "unavailable"}
ALERTNAME = "alertname"
NEVER = "0001-01-01T00:00:00Z"  # as Go says that there is no time
BOOLEANS = ("active", "silenced", "inhibited", "unprocessed")


def render(fault: Fault, request: Request) -> Answer:
    """A fault as Prometheus tells it."""
    told = {"status": "error", "errorType": ERRORS.get(fault.status, "internal"), "error": fault.detail}
    return Answer(msgspec.json.encode(told), fault.status, headers=fault.headers)


def labels(alert: Mapping[str, Any]) -> dict[str, str]:
    """The labels of an alert: its own, those it is grouped by, and alertname, severity and device_id."""
    group = msgspec.json.decode(alert["group"], type=dict[str, Any]) if alert["group"] else {}
    own = {str(name).replace(".", "_"): str(value) for name, value in group.items()} | alert["labels"]
    device = {"device_id": alert["device_id"]} if alert["device_id"] else {"subject": alert["home_key"]}
    return {**own, ALERTNAME: alert["rule_id"], "severity": alert["severity"], **device}


def alert_v1(alert: Mapping[str, Any]) -> Json:
    """An alert as /api/v1/alerts has it. One that somebody takes care of fires still."""
    return {
        "labels": labels(alert),
        "annotations": alert["annotations"],
        "state": "pending" if alert["state"] == "pending" else "firing",
        "activeAt": alert["since"],
        "value": "" if alert["value"] is None else f"{alert['value']:e}",
    }


def rule_v1(rule: Mapping[str, Any], alerts: Sequence[Mapping[str, Any]]) -> Json:
    """A rule as /api/v1/rules has it, with its alerts."""
    document, own = rule["document"], [alert_v1(alert) for alert in alerts if alert["rule_id"] == rule["rule_id"]]
    states = {alert["state"] for alert in own}
    return {
        "type": "alerting",
        "name": rule["rule_id"],
        "query": document["when"],
        "duration": micros(document.get("for", "0s")) / 1e6,
        "keepFiringFor": micros(document.get("keep_firing", "0s")) / 1e6,
        "labels": {**document.get("labels", {}), "severity": document.get("severity", "warning")},
        "annotations": document.get("annotations", {}),
        "alerts": own,
        "state": next((state for state in ("firing", "pending") if state in states), "inactive"),
        "health": "ok" if rule["state"] == "in_force" else "err",
        "lastError": rule.get("detail") or "",
        "evaluationTime": 0,
        "lastEvaluation": NEVER,
    }


def alert_v2(alert: Mapping[str, Any]) -> Json:
    """An alert as Alertmanager's /api/v2/alerts has it."""
    newest = alert["acknowledged_at"] or alert["fired_at"] or alert["since"]
    return {
        "labels": labels(alert),
        "annotations": alert["annotations"],
        "startsAt": alert["fired_at"] or alert["since"],
        "endsAt": NEVER,
        "updatedAt": newest,
        "fingerprint": alert["alert_id"].replace("-", "")[:16],
        "generatorURL": f"/v1/alerts/{alert['alert_id']}",
        "receivers": [{"name": "fleetlog"}],
        "status": {
            "state": "suppressed" if alert["silenced"] else "active",
            "silencedBy": alert["silenced"],
            "inhibitedBy": [],
            "mutedBy": [],
        },
    }


class PrometheusApi:
    """The handlers. `api` knows who may ask."""

    def __init__(self, api: AlertingApi, desk: AlertingDesk) -> None:
        self._api, self._desk = api, desk

    async def alerts(self, request: Request) -> Answer:
        """GET /api/v1/alerts"""
        return _success({"alerts": [alert_v1(alert) for alert in await self._open(request)]})

    async def rules(self, request: Request) -> Answer:
        """GET /api/v1/rules"""
        alerts = await self._open(request)
        wanted = request.query("type")
        if wanted not in (None, "alert", "record"):
            raise Fault(400, "INVALID_QUERY", f"type is {wanted[:50]!r}, neither alert nor record")
        rules = [rule for rule in await self._api.ask(request, self._rules) if rule["mode"] == "live"]
        told = [rule_v1(rule, alerts) for rule in rules if rule["state"] != "disabled" and wanted != "record"]
        group = {"name": "fleetlog", "file": "fleet.rules", "interval": 1, "limit": 0, "rules": told}
        times = {"evaluationTime": 0, "lastEvaluation": NEVER}
        return _success({"groups": [{**group, **times}] if told else []})

    async def alerts_v2(self, request: Request) -> Answer:
        """GET /api/v2/alerts"""
        wanted = _wanted(request)
        found = [alert_v2(alert) for alert in await self._open(request) if alert["state"] != "pending"]
        kept = [one for one in found if wanted["silenced" if one["status"]["state"] == "suppressed" else "active"]]
        return Answer(msgspec.json.encode(kept), headers=NO_STORE)

    async def _open(self, request: Request) -> list[Json]:
        """The alerts that are not over; shadows are nobody's."""
        return await self._api.ask(request, self._desk.open_alerts)

    def _rules(self) -> list[Json]:
        """All of them: there are no pages here."""
        found = self._desk.rules(Asked(paging.MOST))
        rules = found.items
        while found.after is not None:
            found = self._desk.rules(Asked(paging.MOST, found.after))
            rules = [*rules, *found.items]
        return rules


def _wanted(request: Request) -> dict[str, bool]:
    """Raises Fault 400: a parameter that is not known would be taken for one that was heeded."""
    request.query("")
    found = dict.fromkeys(BOOLEANS, True)
    for name, value in parse_qsl(request.raw_query.decode(), keep_blank_values=True):
        if name not in BOOLEANS or value not in ("true", "false"):
            raise Fault(400, "INVALID_QUERY", f"{name[:50]}: only {', '.join(BOOLEANS)} are known, true or false")
        found[name] = value == "true"
    return found


def _success(data: Json) -> Answer:
    return Answer(msgspec.json.encode({"status": "success", "data": data}), headers=NO_STORE)


def prometheus_routes(api: PrometheusApi) -> list[Route]:
    places = (
        ("/api/v1/alerts", api.alerts, "prometheus_alerts", "Alerts that are not over, as Prometheus tells them"),
        ("/api/v1/rules", api.rules, "prometheus_rules", "Rules in force and their alerts, as Prometheus tells them"),
        ("/api/v2/alerts", api.alerts_v2, "alertmanager_alerts", "Alerts that fire, as Alertmanager tells them"),
    )
    return [Route("GET", path, handler, render, _described(path, name, words)) for path, handler, name, words in places]


def _described(path: str, name: str, summary: str) -> Json:
    booleans: list[Json] = [{"name": one, "in": "query", "schema": {"type": "boolean"}} for one in BOOLEANS]
    kind: list[Json] = [{"name": "type", "in": "query", "schema": {"enum": ["alert", "record"]}}]
    parameters = {"/api/v2/alerts": booleans, "/api/v1/rules": kind}.get(path, [])
    body = {"application/json": {"schema": {"type": "array" if path == "/api/v2/alerts" else "object"}}}
    told = {"application/json": {"schema": {"type": "object"}}}
    codes = (400, 401, 403, 404, 405, 429, 503)
    faults = {str(code): {"description": HTTPStatus(code).phrase, "content": told} for code in codes}
    return {
        "operationId": name,
        "summary": summary,
        "tags": ["alerting"],
        "parameters": parameters,
        "responses": {"200": {"description": "Known.", "content": body}, **faults},
    }
