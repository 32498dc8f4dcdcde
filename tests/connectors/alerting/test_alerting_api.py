"""Rules and alerts over HTTP: what is asked is passed on as it was meant, to administrators alone; faults say where."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import httpx
import msgspec
import pytest

from connectors.alerting.documents import AlertList, AlertWithEvents, RuleList, RuleVersion, SilenceList
from connectors.alerting.port import Json, NotAllowed, NotThere, RuleChange, Wrong
from connectors.ingress.access import Access, Rights
from connectors.ports import Away, Busy
from infra.alerting import telling
from schemas.rule_messages import RULE_EVENTS
from streams.alerts.listing import listed as alerts_listed
from streams.rulebook.listing import listed as rules_listed
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.served import CONTRACT, KEY, Around, Served, key_of, new_log, options, principal, serving_with
from tests.streams.alerts.stage import Stage, rule_of
from tests.streams.rulebook.book import DAY, Book, wanted

OTHERS = [principal("alice", fleet="user"), principal("reader", read=("fleet.*",)), principal("station")]


def rule_book() -> Book:
    book = Book()
    book.apply(wanted("hot"))
    book.apply(wanted("hot", severity="critical"), mode="shadow")
    book.silence("night", 0, DAY)
    return book


class FakeDesk:
    """Keeps what it is asked; `fault` is what it answers with, where there is one. What it tells is told of real events."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.fault: Exception | None = None
        self.book = rules_listed(rule_book().events)
        on = Stage()
        on.apply(rule_of())
        on.signal("fired")
        self.events = on.said
        self.alert_listed = alerts_listed(on.said)

    def _asked(self, *what: Any) -> None:
        self.asked.append(what)
        if self.fault is not None:
            raise self.fault

    def rules(self) -> list[Json]:
        self._asked("rules")
        return [telling.rule_standing(one) for one in self.book.rules.values()]

    def rule(self, rule_id: str, version: int | None) -> Json:
        self._asked("rule", rule_id, version)
        standing = self.rules()
        return {"rule_id": rule_id, "version": 2, "document": standing[0]["document"], "standing": standing}

    def history(self, rule_id: str) -> list[Json]:
        self._asked("history", rule_id)
        return [{"event": "RuleApplied", "at": "2026-01-01T00:00:00Z", "actor": "owner", "position": f"{RULE_EVENTS}/0/1"}]

    def apply(self, change: RuleChange, actor: str) -> list[Json]:
        self._asked("apply", change, actor)
        return [{"event": "RuleApplied", "rule_id": change.rule_id}]

    def disable(self, rule_id: str, mode: str | None, comment: str | None, actor: str) -> list[Json]:
        self._asked("disable", rule_id, mode, comment, actor)
        return [{"event": "RuleUnchanged"}]

    def backtest(self, document: bytes, begins: str, ends: str) -> Json:
        self._asked("backtest", document, begins, ends)
        numbers = {"incidents": 1, "open": 0, "notifications": 2, "flaps": 0, "firing_seconds": 1.5}
        return {"begins": begins, "ends": ends, **numbers, "top": [], "difference": {}}

    def alerts(self, wanted: Mapping[str, str]) -> list[Json]:
        self._asked("alerts", dict(wanted))
        return [telling.alert(one) for one in self.alert_listed.values()]

    def alert(self, alert_id: str) -> Json:
        self._asked("alert", alert_id)
        (one,) = self.alert_listed.values()
        return {**telling.alert(one), "events": []}

    def tell(self, what: str, alert_id: str, given: Mapping[str, Any], actor: str) -> Json:
        self._asked("tell", what, alert_id, dict(given), actor)
        return {"event": "AlertAcknowledged"}

    def silences(self) -> list[Json]:
        self._asked("silences")
        return [telling.silence_standing(one, one.starts_at) for one in self.book.silences.values()]

    def silence(self, silence_id: str, given: Mapping[str, Any], actor: str) -> Json:
        self._asked("silence", silence_id, dict(given), actor)
        return {"event": "SilenceCreated"}

    def end_silence(self, silence_id: str, actor: str) -> Json:
        self._asked("end_silence", silence_id, actor)
        return {"event": "SilenceEnded"}

    def close(self) -> None:
        """Nothing is open."""


World = tuple[Served, FakeDesk]
Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    desk = FakeDesk()
    access = Access(KEY, Rights(fleet="admin"), CONTRACT, lambda: {one.key_digest: one for one in OTHERS})
    around = Around(new_log(), FakeRegistry(), access, alerting=desk)
    with ExitStack() as stack:
        yield stack.enter_context(serving_with(options(tmp_path_factory.mktemp("ingress")), around)), desk


@pytest.fixture
def ask(world: World) -> Ask:
    def request(method: str, path: str, caller: str = KEY, **given: Any) -> httpx.Response:
        return world[0].client.request(method, path, headers={"X-API-Key": caller}, **given)

    world[1].asked.clear()
    world[1].fault = None
    return request


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/rules", RuleList),
        ("/v1/rules/hot", RuleVersion),
        ("/v1/alerts", AlertList),
        ("/v1/alerts/x", AlertWithEvents),
        ("/v1/silences", SilenceList),
    ],
)
def test_what_is_told_is_what_the_document_says(ask: Ask, path: str, form: type[msgspec.Struct]) -> None:
    answer = ask("GET", path)
    assert answer.status_code == 200, answer.text
    read = msgspec.json.decode(answer.content, type=form, strict=True)
    assert msgspec.to_builtins(read) == answer.json()


HOT = b"id: hot\ninput: telemetry\nwhen: temperature > 100.0\n"
MATCHERS = [{"name": "rule_id", "match": "equal", "value": "hot"}]
PASSED: dict[str, tuple[str, str, dict[str, Any], tuple[Any, ...]]] = {
    "a version": ("GET", "/v1/rules/hot?version=2", {}, ("rule", "hot", 2)),
    "a rule": ("PUT", "/v1/rules/hot", {"content": HOT}, ("apply", RuleChange("hot", HOT, "live", None), "owner")),
    "a shadow": (
        "PUT",
        "/v1/rules/hot?mode=shadow&expected=3",
        {"content": HOT},
        ("apply", RuleChange("hot", HOT, "shadow", 3), "owner"),
    ),
    "no rule": ("DELETE", "/v1/rules/hot?comment=why", {}, ("disable", "hot", None, "why", "owner")),
    "some alerts": (
        "GET",
        "/v1/alerts?state=firing&rule=hot&device=d1",
        {},
        ("alerts", {"state": "firing", "rule_id": "hot", "device_id": "d1"}),
    ),
    "an acknowledgement": ("POST", "/v1/alerts/a/ack", {}, ("tell", "ack", "a", {"comment": None}, "owner")),
    "a silence of one": (
        "POST",
        "/v1/alerts/a/silence",
        {"json": {"until": "2026-01-01"}},
        ("tell", "silence", "a", {"until": "2026-01-01", "comment": None}, "owner"),
    ),
    "a comment": (
        "POST",
        "/v1/alerts/a/comment",
        {"json": {"comment": "x"}},
        ("tell", "comment", "a", {"comment": "x"}, "owner"),
    ),
    "a silence": (
        "PUT",
        "/v1/silences/night",
        {"json": {"matchers": MATCHERS, "ends_at": "2100-01-01", "comment": "x"}},
        ("silence", "night", {"matchers": MATCHERS, "ends_at": "2100-01-01", "comment": "x", "starts_at": None}, "owner"),
    ),
    "its end": ("DELETE", "/v1/silences/night", {}, ("end_silence", "night", "owner")),
    "a back-test": ("POST", "/v1/backtests?from=-2h", {"content": HOT}, ("backtest", HOT, "-2h", "now")),
    "a history": ("GET", "/v1/rules/hot/history", {}, ("history", "hot")),
}


@pytest.mark.parametrize("what", PASSED)
def test_what_is_asked_is_passed_on(ask: Ask, world: World, what: str) -> None:
    method, path, given, asked = PASSED[what]
    answer = ask(method, path, **given)
    assert (answer.status_code, world[1].asked[0]) == (200, asked), answer.text


REFUSED: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "a parameter that is none": ("GET", "/v1/alerts?sate=firing", {}, 400, "sate"),
    "a mode that is none": ("PUT", "/v1/rules/hot?mode=on", {"content": HOT}, 400, "mode"),
    "a version that is none": ("GET", "/v1/rules/hot?version=two", {}, 400, "version"),
    "a time that is missing": ("POST", "/v1/backtests", {"content": HOT}, 400, "from"),
    "a rule that is too large": ("PUT", "/v1/rules/hot", {"content": b" " * 70_000}, 413, "65,536"),
    "no JSON": ("POST", "/v1/alerts/a/ack", {"content": b"{"}, 400, "JSON"),
    "an unknown field": ("POST", "/v1/alerts/a/ack", {"json": {"comments": "x"}}, 422, "comments"),
    "no comment": ("POST", "/v1/alerts/a/comment", {"json": {}}, 422, "comment"),
    "no matchers": ("PUT", "/v1/silences/n", {"json": {"ends_at": "now", "comment": "x"}}, 422, "matchers"),
    "a matcher that is none": (
        "PUT",
        "/v1/silences/n",
        {"json": {"matchers": [{"name": "a", "match": "regex", "value": "b"}], "ends_at": "now", "comment": "x"}},
        422,
        "regex",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_named_and_asks_nobody(ask: Ask, world: World, what: str) -> None:
    method, path, given, status, place = REFUSED[what]
    answer = ask(method, path, **given)
    assert answer.status_code == status, answer.text
    assert place in answer.json()["detail"]
    assert world[1].asked == []


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Away("the broker is away"), 503, "AWAY"),
        (Busy("another back-test is under way"), 429, "OVERLOADED"),
        (NotThere("there is no rule x"), 404, "NOT_FOUND"),
        (Wrong("when: column 4: no such variable"), 422, "INVALID_BODY"),
        (NotAllowed("VERSION_CONFLICT", "at version 2"), 409, "VERSION_CONFLICT"),
        (NotAllowed("ALERT_UNKNOWN", "no alert"), 404, "ALERT_UNKNOWN"),
        (NotAllowed("BAD_SILENCE", "ends_at: over"), 422, "BAD_SILENCE"),
    ],
)
def test_faults_of_the_desk_are_told(ask: Ask, world: World, fault: Exception, status: int, code: str) -> None:
    world[1].fault = fault
    answer = ask("PUT", "/v1/rules/x", content=HOT)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("caller", ["alice", "reader", "station"])
def test_only_administrators_ask(ask: Ask, world: World, caller: str) -> None:
    for method, path, given, _ in PASSED.values():
        assert ask(method, path, key_of(caller), **given).status_code == 403
    assert world[1].asked == []
    assert ask("GET", "/v1/rules", "nobody's").status_code == 401


def test_the_operations_are_in_the_openapi_document(world: World) -> None:
    paths = world[0].client.get("/openapi.json").json()["paths"]
    assert {"/v1/rules", "/v1/rules/{id}", "/v1/alerts/{id}/ack", "/v1/silences/{id}"} <= paths.keys()
