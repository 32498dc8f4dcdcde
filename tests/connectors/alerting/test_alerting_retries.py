"""Commands about rules and alerts with an idempotency key: decided once, however often they are sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from connectors.alerting.port import NotAllowed
from connectors.ingress.access import Access, Rights
from connectors.memory import MemoryLog
from connectors.ports import Away
from tests.connectors.alerting.fake_desk import FakeDesk
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.served import CONTRACT, KEY, Around, key_of, new_log, options, principal, serving_with

HOT, COLD = b"id: hot\ninput: telemetry\nwhen: temperature > 100.0\n", b"id: hot\ninput: telemetry\nwhen: temperature < 0\n"
OTHER = principal("other", fleet="admin")


class World:
    def __init__(self, client: httpx.Client, desk: FakeDesk) -> None:
        self.client, self.desk = client, desk

    def put(self, key: str | None = "k", body: bytes = HOT, caller: str = KEY) -> httpx.Response:
        headers = {"X-API-Key": caller, **({} if key is None else {"Idempotency-Key": key})}
        return self.client.put("/v1/rules/hot", content=body, headers=headers)


@contextmanager
def running(folder: Path, log: MemoryLog) -> Iterator[World]:
    desk = FakeDesk()
    access = Access(KEY, Rights(fleet="admin"), CONTRACT, lambda: {OTHER.key_digest: OTHER})
    with serving_with(options(folder), Around(log, FakeRegistry(), access, alerting=desk)) as served:
        yield World(served.client, desk)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(tmp_path, new_log()) as made:
        yield made


def replayed(answer: httpx.Response) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


def test_a_retry_is_given_the_same_answer_and_asks_nobody(world: World) -> None:
    first, again = world.put(), world.put('"k"'[1:-1])
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert (replayed(first), replayed(again)) == (False, True)
    assert again.headers["cache-control"] == "no-store"
    assert len(world.desk.asked) == 1
    assert world.desk.commands[0] is not None


def test_another_request_under_the_same_key_is_refused(world: World) -> None:
    world.put()
    headers = {"Idempotency-Key": "k"}
    others = [world.put(body=COLD), world.client.post("/v1/alerts/a/ack", headers=headers)]
    assert {(one.status_code, one.json()["code"]) for one in others} == {(422, "IDEMPOTENCY_KEY_REUSED")}
    assert len(world.desk.asked) == 1


def test_everybody_has_keys_of_their_own(world: World) -> None:
    assert not replayed(world.put())
    assert not replayed(world.put(caller=key_of("other"), body=COLD))
    assert len(set(world.desk.commands)) == 2


def test_without_a_key_each_is_a_command(world: World) -> None:
    assert not replayed(world.put(None))
    assert not replayed(world.put(None))
    assert world.desk.commands == [None, None]


def test_what_was_refused_may_be_tried_again(world: World) -> None:
    world.desk.fault = NotAllowed("VERSION_CONFLICT", "at version 2")
    assert world.put().status_code == 409
    world.desk.fault = None
    answer = world.put(body=COLD)
    assert (answer.status_code, replayed(answer)) == (200, False)
    assert len(set(world.desk.commands)) == 2


def test_what_nobody_has_answered_is_asked_again_as_the_same_command(world: World) -> None:
    world.desk.fault = Away("the decider of rules has not answered")
    assert world.put().status_code == 503
    assert world.put(body=COLD).status_code == 422, "it may be decided yet"
    world.desk.fault = None
    assert world.put().status_code == 200
    first, second = world.desk.commands
    assert first == second is not None
    assert replayed(world.put())


def test_a_command_is_the_same_for_the_ingress_that_follows(tmp_path: Path) -> None:
    log = new_log()
    with running(tmp_path, log) as world:
        world.desk.fault = Away("the decider of rules has not answered")
        assert world.put().status_code == 503
        (before,) = world.desk.commands
    with running(tmp_path, log) as world:
        assert world.put(body=COLD).status_code == 422
        first = world.put()
        assert (first.status_code, world.desk.commands) == (200, [before])
    with running(tmp_path, log) as world:
        again = world.put()
        assert (again.content, replayed(again), world.desk.commands) == (first.content, True, [])


@pytest.mark.parametrize("key", ["", '"', "a,b", "x" * 256])
def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    answer = world.put(key)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_IDEMPOTENCY_KEY")
    assert world.desk.asked == []
