"""Views as of a time over HTTP: what is asked is passed on as it was meant, to who may ask; all else says what is wrong."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.as_of import Question, Reply
from connectors.ingress.access import Access, Rights
from connectors.ports import Away, Busy
from schemas.moments import moment_of
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.served import CONTRACT, KEY, Around, Served, key_of, new_log, options, principal, serving_with

TOPICS = {
    "device_state": ("fleet.telemetry", "fleet.registration.events"),
    "telemetry": ("fleet.telemetry",),
    "security_events": ("fleet.security-events",),
}
AT = "2026-01-01T12:00:00Z"
NOON = moment_of(AT, 2**60)
DOCUMENT = b'{"key":"dev-1","hash":"00","fields":{"last_seen":1},"snapshot":3,"records":4,"unusable":[]}'


class FakeViews:
    """Keeps what it is asked, and answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.answer: Callable[[], Reply] = lambda: Reply(0, "document", DOCUMENT)

    def topics(self, view: str) -> Sequence[str]:
        return TOPICS.get(view, ())

    async def ask(self, question: Question) -> Reply:
        self.asked.append(question)
        return self.answer()

    async def close(self) -> None:
        """Nothing is open."""


OTHERS = [
    principal("office", read=("fleet.telemetry",), devices=False),
    principal("reader", read=("fleet.*",), devices=False),
    principal("station"),
    principal("boss", devices=False, fleet="admin"),
    principal("alice", devices=False, fleet="user"),
    principal("nobody", devices=False),
]
World = tuple[Served, FakeViews]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    views = FakeViews()
    access = Access(KEY, Rights(fleet="admin"), CONTRACT, lambda: {one.key_digest: one for one in OTHERS})
    around = Around(new_log(), FakeRegistry(), access, as_of=views)
    with ExitStack() as stack:
        yield stack.enter_context(serving_with(options(tmp_path_factory.mktemp("ingress")), around)), views


@pytest.fixture
def get(world: World) -> Callable[..., httpx.Response]:
    def ask(view: str = "device_state", caller: str = KEY, **given: Any) -> httpx.Response:
        return world[0].client.get(f"/v1/views/{view}/as-of", params=given, headers={"X-API-Key": caller})

    world[1].asked.clear()
    world[1].answer = lambda: Reply(0, "document", DOCUMENT)
    return ask


def test_one_document(get: Callable[..., httpx.Response], world: World) -> None:
    answer = get(at=AT, known_at="2026-01-01T13:00:00Z", key="dev-1", everywhere="true")
    assert answer.status_code == 200, answer.text
    (asked,) = world[1].asked
    assert asked == Question("device_state", NOON, NOON + 3_600_000_000, "dev-1", "", 100, True)
    assert answer.json() == {
        "view": "device_state",
        "at": AT,
        "known_at": "2026-01-01T13:00:00Z",
        "key": "dev-1",
        "hash": "00",
        "fields": {"last_seen": 1},
        "snapshot": 3,
        "records": 4,
        "unusable": [],
    }


def test_what_was_known_is_what_is_known_now_unless_it_is_said(get: Callable[..., httpx.Response], world: World) -> None:
    before = time.time_ns() // 1_000
    assert get(at="-2h").status_code == 200
    (asked,) = world[1].asked
    assert before <= asked.known <= time.time_ns() // 1_000
    assert asked.at == asked.known - 7_200_000_000


def test_pages_lead_to_the_next_of_the_same_times(get: Callable[..., httpx.Response], world: World) -> None:
    world[1].answer = lambda: Reply(0, "documents", b'[{"key":"a&b"}]', "a&b")
    page = get(at="-2h", limit=1)
    first = world[1].asked[-1]
    assert page.json()["documents"] == [{"key": "a&b"}]
    link = page.json()["next"]
    assert page.headers["link"] == f'<{link}>; rel="next"'
    world[1].answer = lambda: Reply(0, "rows", b"[]")
    last = world[0].client.get(link)
    second = world[1].asked[-1]
    assert (second.at, second.known, second.begin, second.limit) == (first.at, first.known, "a&b", 1)
    assert (last.json()["rows"], last.json()["next"]) == ([], None)
    assert "link" not in last.headers


@pytest.mark.parametrize(
    ("who", "view", "status"),
    [
        ("office", "telemetry", 200),
        ("office", "device_state", 403),
        ("reader", "device_state", 200),
        ("reader", "security_events", 200),
        ("station", "telemetry", 200),
        ("station", "device_state", 403),
        ("boss", "device_state", 200),
        ("boss", "telemetry", 200),
        ("boss", "security_events", 403),
        ("alice", "device_state", 403),
        ("alice", "telemetry", 403),
        ("nobody", "telemetry", 403),
        ("stranger", "telemetry", 401),
        ("stranger", "none", 401),
        ("reader", "none", 404),
    ],
)
def test_who_may_ask(get: Callable[..., httpx.Response], world: World, who: str, view: str, status: int) -> None:
    assert get(view, key_of(who), at=AT).status_code == status
    assert len(world[1].asked) == (1 if status == 200 else 0)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "query at"),
        ({"at": "yesterday"}, "query at"),
        ({"at": "2100-01-01"}, "query at"),
        ({"at": AT, "known_at": "2026-01-01T12:00:00"}, "query known_at"),
        ({"at": AT, "limit": "0"}, "query limit"),
        ({"at": AT, "limit": "1001"}, "query limit"),
        ({"at": AT, "limit": "x"}, "query limit"),
        ({"at": AT, "key": ""}, "query key"),
        ({"at": AT, "everywhere": "yes"}, "query everywhere"),
        ({"at": AT, "device": "dev-1"}, "query device"),
    ],
)
def test_a_parameter_that_is_not_understood_is_named(
    get: Callable[..., httpx.Response], world: World, given: dict[str, str], path: str
) -> None:
    answer = get(**given)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_QUERY")
    assert answer.json()["errors"][0]["path"] == path
    assert world[1].asked == []


def away() -> Reply:
    raise Away("the fold took too long")


def busy() -> Reply:
    raise Busy("16 questions wait")


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (lambda: Reply(0, fault="nothing", detail="nothing of dev-1"), 404, "NOTHING_KNOWN"),
        (lambda: Reply(0, fault="before", detail="the log begins"), 404, "BEFORE_THE_LOG"),
        (lambda: Reply(0, fault="gone", detail="begins at offset 3"), 410, "LOG_GONE"),
        (lambda: Reply(0, fault="away", detail="Redis"), 503, "AWAY"),
        (lambda: Reply(0, fault="cursor", detail="no place"), 400, "INVALID_QUERY"),
        (lambda: Reply(0, fault="failed", detail="a bug"), 500, "INTERNAL"),
        (away, 503, "AWAY"),
        (busy, 429, "OVERLOADED"),
    ],
)
def test_what_can_not_be_told_says_why(
    get: Callable[..., httpx.Response], world: World, reply: Callable[[], Reply], status: int, code: str
) -> None:
    world[1].answer = reply
    answer = get(at=AT, key="dev-1")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("retry-after" in answer.headers) == (status in (429, 503))


def test_the_description_has_it(world: World) -> None:
    document = world[0].client.get("/openapi.json").json()
    described = document["paths"]["/v1/views/{view}/as-of"]["get"]
    assert {one["name"] for one in described["parameters"]} == {
        *("view", "at", "known_at", "key", "limit", "after", "everywhere")
    }
    assert {"AsOfAnswer", "AsOfDocuments", "AsOfRows"} <= set(document["components"]["schemas"])


def test_an_ingress_without_views_has_no_such_path(tmp_path: Path) -> None:
    access = Access(KEY, Rights(fleet="admin"), CONTRACT)
    with serving_with(options(tmp_path), Around(new_log(), FakeRegistry(), access)) as served:
        assert served.client.get("/v1/views/device_state/as-of", params={"at": AT}).status_code == 404
