"""Whose requests a rate limit counts: the device's, the user's, or the address's of who is not known."""

import asyncio

import pytest

from connectors.guards import Quota
from connectors.http.app import HttpApp
from connectors.http.body import BodyReader
from connectors.http.peer import ON_REGISTRATION, REGISTRATION, Peer
from connectors.http.problems import problem
from connectors.http.request import Answer, Request, Route
from connectors.ingress.entrances import Entrances
from connectors.ingress.guard_options import GuardOptions, in_memory
from connectors.ingress.identifiers import EventIds
from connectors.ingress.security_events import TOPIC, SecurityEvents
from connectors.memory import MemoryLog
from tests.connectors.ingress.fakes import FakeProducer
from tests.connectors.ingress.served import CONTRACT, PARTITIONS, options

QUOTAS = {name: Quota(name, 2, 3600) for name in ("registration", "address")}


async def handled(request: Request) -> Answer:
    return Answer(b"{}")


@pytest.fixture
def application(tmp_path: object) -> HttpApp:
    producer = FakeProducer(MemoryLog(dict.fromkeys(CONTRACT.topics, PARTITIONS)), CONTRACT.topics, PARTITIONS)
    security = SecurityEvents(CONTRACT.topics[TOPIC], producer, EventIds())
    bodies = BodyReader(options(tmp_path))  # type: ignore[arg-type]
    entrances = Entrances(GuardOptions(quotas=QUOTAS), in_memory(), bodies, security, lambda caller: caller.upper())
    routes = [
        Route("POST", "/begin", handled, problem, public=True, listeners=ON_REGISTRATION, limit="registration"),
        Route("POST", "/ask", handled, problem, listeners=ON_REGISTRATION, limit="registration"),
        Route("POST", "/free", handled, problem, public=True, listeners=ON_REGISTRATION),
    ]
    app = HttpApp("test", routes, lambda request: request.headers[b"who"].decode(), bodies, lambda *told: None)
    return entrances.applications(app)[REGISTRATION]


def asked(application: HttpApp, path: str, who: str = "", address: str = "192.0.2.1") -> tuple[int, bytes]:
    async def part() -> tuple[bytes, bool]:
        return b"", False

    request = Request("POST", path.encode(), {b"who": who.encode()}, part)
    request.peer = Peer(address, 1)
    answer = asyncio.run(application.answer(request))  # type: ignore[arg-type]
    return answer.status, dict(answer.headers).get(b"ratelimit-policy", b"")


def test_users_are_counted_each_for_himself(application: HttpApp) -> None:
    assert [asked(application, "/ask", "one")[0] for _ in range(3)] == [200, 200, 429]
    assert asked(application, "/ask", "other") == (200, b'"registration";q=2;w=3600')


def test_who_is_not_known_is_counted_by_the_address(application: HttpApp) -> None:
    assert [asked(application, "/begin")[0] for _ in range(3)] == [200, 200, 429]
    assert asked(application, "/begin", address="192.0.2.2") == (200, b'"address";q=2;w=3600')
    assert asked(application, "/ask", "one")[0] == 200


def test_routes_without_a_limit_are_not_counted(application: HttpApp) -> None:
    assert {asked(application, "/free") for _ in range(5)} == {(200, b"")}
