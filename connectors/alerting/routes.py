"""The operations on rules and alerts: every path, its handler, its OpenAPI description."""

from typing import Any

from connectors.alerting.api import FILTERS, MODES, AlertingApi
from connectors.alerting.paging import MOST, USUAL
from connectors.http.problems import problem
from connectors.http.request import Answering, Route
from connectors.ingress.openapi import IDEMPOTENCY_KEY, REPLAYED, path_parameter, ref

Schema = dict[str, Any]
NO_BODY: Schema = {}
FAULTS = {
    400: "The body is not JSON, a parameter or the idempotency key is not understood, or the path is malformed.",
    401: "No API key, or a wrong one.",
    403: "The caller is no administrator of the fleet.",
    404: "There is no such rule, version, alert or silence.",
    409: "Not from the state in which it is: another version, resolved, silenced or acknowledged already.",
    413: "The body is too large.",
    415: "An encoding that is not taken.",
    422: "The rule or the body is not what it must be, `errors` names every place; or the idempotency key was used for "
    "another request.",
    429: "Too much is under way: again after Retry-After seconds.",
    503: "Nothing was decided in time, or the broker or registry is away: again after Retry-After seconds, with the same "
    "idempotency key.",
}
ID = {"type": "string", "minLength": 1, "maxLength": 128}
RULE_BODY = {
    "required": True,
    "description": "A rule: docs/rule.schema.json.",
    "content": {"application/yaml": {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}},
}
TIME = "RFC 3339 with a zone, a date (its first moment, UTC), `now`, or back from now, such as `-2h`."
BACKTEST = "What a rule would have done in the past"


def alerting_routes(api: AlertingApi) -> list[Route]:
    wanted = _body("SilenceRequest")
    rule, alert, silence = "/v1/rules/{id}", "/v1/alerts/{id}", "/v1/silences/{id}"
    mode = _query("mode", "live or shadow.", {"enum": list(MODES)})
    version = _query("version", "This version; by default the newest.", {"type": "integer", "minimum": 1})
    expected = _query("expected", "Only if the rule's newest version is this one; 0: if it is new.", {"type": "integer"})
    comment = _query("comment", "Why.", {"type": "string", "minLength": 1})
    times = (_query("from", TIME, {"type": "string"}, True), _query("to", f"By default now. {TIME}", {"type": "string"}))
    paged = (
        _query("limit", "So many at most.", {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}),
        _query("after", "As `next` of the page before says.", {"type": "string"}),
    )
    filters = tuple(_query(name, f"Only alerts of this {name}.", {"type": "string"}) for name in FILTERS)
    told = {
        "ack": ("Take care of an alert", "AlertWord"),
        "silence": ("Silence an alert", "AlertSilence"),
        "unsilence": ("Let an alert be heard again", "AlertWord"),
        "comment": ("Remark on an alert", "AlertWord"),
    }
    return [
        _route("GET /v1/rules", api.list_rules, ("list_rules", "All rules"), "RuleList", paged),
        _route(f"GET {rule}", api.show_rule, ("show_rule", "A rule's document"), "RuleVersion", (version,)),
        _route(f"GET {rule}/history", api.rule_history, ("rule_history", "What became of a rule"), "RuleHistory", paged),
        _route(f"PUT {rule}", api.put_rule, ("put_rule", "Put a rule in force"), "RuleChanged", (mode, expected), RULE_BODY),
        _route(f"DELETE {rule}", api.delete_rule, ("disable_rule", "Disable a rule"), "RuleChanged", (mode, comment)),
        _route("POST /v1/backtests", api.backtest, ("backtest_rule", BACKTEST), "BacktestAnswer", times, RULE_BODY),
        _route(
            "GET /v1/alerts", api.list_alerts, ("list_alerts", "Alerts, the newest first"), "AlertList", (*filters, *paged)
        ),
        _route(f"GET {alert}", api.show_alert, ("show_alert", "An alert and its events"), "AlertWithEvents"),
        *(
            _route(f"POST {alert}/{what}", api.tell(what), (f"{what}_alert", words), "AlertTold", (), _body(form))
            for what, (words, form) in told.items()
        ),
        _route("GET /v1/silences", api.list_silences, ("list_silences", "All silences"), "SilenceList", paged),
        _route(f"PUT {silence}", api.put_silence, ("put_silence", "Silence what matches"), "AlertTold", (), wanted),
        _route(f"DELETE {silence}", api.delete_silence, ("end_silence", "End a silence"), "AlertTold"),
    ]


def _body(name: str) -> Schema:
    return {"required": name == "SilenceRequest", "content": {"application/json": {"schema": ref(name)}}}


def _query(name: str, description: str, schema: Schema, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


def _route(
    place: str,
    handler: Answering,
    named: tuple[str, str],
    given: str,
    asked: tuple[Schema, ...] = (),
    body: Schema | None = None,
) -> Route:
    """`named`: the operation's name and what it does; `given`: the document that it answers with; `asked`: parameters."""
    name, summary = named
    method, _, path = place.partition(" ")
    changes = method != "GET" and "{id}" in path
    keyed, replayed = ((IDEMPOTENCY_KEY,), {"headers": REPLAYED}) if changes else ((), {})
    described: Schema = {
        "operationId": name,
        "summary": summary,
        "tags": ["alerting"],
        "parameters": [*([path_parameter("id", "Its id.", ID)] if "{id}" in path else ()), *asked, *keyed],
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": ref(given)}}} | replayed,
            **{
                str(status): {"description": words, "content": {"application/problem+json": {"schema": ref("Problem")}}}
                for status, words in FAULTS.items()
            },
        },
    }
    if body:
        described["requestBody"] = body
    return Route(method, path, handler, problem, described)
