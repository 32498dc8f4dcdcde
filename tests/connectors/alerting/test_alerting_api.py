"""Rules and alerts over HTTP: what is asked is passed on as it was meant, to administrators alone; faults say where."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import msgspec
import pytest

from connectors.alerting.documents import AlertList, AlertWithEvents, RuleList, RuleVersion, SilenceList
from connectors.alerting.port import NotAllowed, NotThere, RuleChange, Wrong
from connectors.ingress.access import Access, Rights
from connectors.ports import Away, Busy
from tests.connectors.alerting.fake_desk import FakeDesk
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.served import CONTRACT, KEY, Around, Served, key_of, new_log, options, principal, serving_with

OTHERS = [principal("alice", fleet="user"), principal("reader", read=("fleet.*",)), principal("station")]


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


def test_a_list_comes_a_page_at_a_time(ask: Ask) -> None:
    """Every rule once, whatever the pages' size, by the addresses that each page names."""
    whole = ask("GET", "/v1/rules").json()
    assert (len(whole["rules"]), whole["next"]) == (2, None)
    found, path = [], "/v1/rules?limit=1"
    while path is not None:
        page = ask("GET", path).json()
        found += page["rules"]
        path = page["next"]
    assert found == whole["rules"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=ten", "after=%21", "after=_w==", "after=\u00e9"])
def test_a_page_that_can_t_be_is_refused(ask: Ask, world: World, query: str) -> None:
    for path in ("/v1/rules", "/v1/rules/hot/history", "/v1/alerts", "/v1/silences"):
        answer = ask("GET", f"{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_QUERY"), answer.text
    assert world[1].asked == []
