"""Waiting for answers: the same request again, no answer, too many, what is away."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from connectors.registration.answers import CORRELATION
from schemas.codec import encode
from schemas.contract import RecordType, load
from schemas.message_types import message_types
from schemas.messages import Event
from schemas.released import versions
from schemas.wire import prefix
from tests.connectors.ingress.served import key_of
from tests.connectors.registration.devices import Sender
from tests.connectors.registration.world import World, world

CONTRACT = load()
KEY = {"Idempotency-Key": "1f0f8a7e"}
PATH = "/v1/devices/claim-token"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as made:
        yield made


def alice(running: World) -> httpx.Client:
    return httpx.Client(base_url=running.served.client.base_url, headers={"X-API-Key": key_of("alice")}, timeout=30)


def test_a_claim_that_is_asked_for_again_is_the_same(running: World) -> None:
    with alice(running) as client:
        first = client.post(PATH, json={}, headers=KEY).json()
        again = [client.post(PATH, json={}, headers=KEY).json() for _ in range(3)]
        other = client.post(PATH, json={}, headers={"Idempotency-Key": "another"}).json()
    assert again == [first] * 3
    assert other["claim_token"] != first["claim_token"]
    with httpx.Client(base_url=running.served.client.base_url, headers={"X-API-Key": key_of("bob")}) as bob:
        assert bob.post(PATH, json={}, headers=KEY).json()["claim_id"] != first["claim_id"]


def test_every_step_may_be_sent_again(running: World) -> None:
    with alice(running) as client:
        token = client.post(PATH, json={}).json()["claim_token"]
        device = Sender(client, "AGAIN-1")
        opened = [device.initiate(Idempotency_Key="k1").json() for _ in range(2)]
        assert opened[0] == opened[1]
        admitted = [device.validate({"Idempotency_Key": "k2"}, claim_token=token).json() for _ in range(2)]
        assert admitted[0] == admitted[1]
        bundles = [device.confirm(admitted[0]["challenge"], Idempotency_Key="k3").json() for _ in range(3)]
    assert bundles[0]["serial"]
    assert bundles[1:] == bundles[:1] * 2
    assert len(running.authority.signed) == len(set(running.authority.signed))


def test_a_command_says_what_it_is_and_of_which_trace(running: World) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with alice(running) as client:
        made = client.post(PATH, json={}, headers={"traceparent": trace}).json()
    sent = next(one for one in reversed(running.served.producer.sent) if one.key == made["claim_id"].encode())
    headers = dict(sent.headers)
    assert sent.topic == "fleet.registration.commands"
    assert headers["traceparent"] == trace.encode()
    assert headers["ce_type"] == b"fleetlog.registration.IssueClaimToken"
    assert headers["ce_id"] == made["claim_id"].removeprefix("claim-").encode()
    assert headers["ce_specversion"] == b"1.0"


def test_many_wait_at_once_and_each_gets_its_own(running: World) -> None:
    with alice(running) as client, ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: client.post(PATH, json={}).json(), range(60)))
    assert len({one["claim_id"] for one in made}) == 60
    assert all(one["claim_token"].startswith(one["claim_id"]) for one in made)


def test_the_same_request_at_the_same_time(running: World) -> None:
    with alice(running) as client, ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: client.post(PATH, json={}, headers={"Idempotency-Key": "at-once"}).text, range(16)))
    assert len(set(made)) == 1


def test_one_token_and_many_devices(running: World) -> None:
    with alice(running) as client, ThreadPoolExecutor(10) as pool:
        token = client.post(PATH, json={}).json()["claim_token"]
        devices = [Sender(client, f"RACE-{number}") for number in range(20)]
        list(pool.map(lambda device: device.initiate(), devices))
        answers = list(pool.map(lambda device: device.validate(claim_token=token).status_code, devices))
    assert sorted(answers) == [200, *[409] * 19]


def test_without_a_decider_there_is_no_answer_in_time_but_later(tmp_path: Path) -> None:
    with world(tmp_path, decided=False, request_deadline=0.5) as running, alice(running) as client:
        none = client.post(PATH, json={}, headers=KEY)
        assert (none.status_code, none.json()["code"]) == (504, "REG-005")
        assert int(none.headers["retry-after"]) > 0
        assert none.json()["user_action"].startswith("Check the connection")
        assert running.served.ingress.registration is not None
        assert running.served.ingress.registration.answers.waiting == 0
        with running.harness.running():
            again = client.post(PATH, json={}, headers=KEY)
            assert again.status_code == 201
        assert running.names().count("ClaimTokenIssued") == 1


def test_what_is_away_is_told(tmp_path: Path) -> None:
    with world(tmp_path) as running, alice(running) as client:
        running.served.producer.away = "the broker is away"
        refused = client.post(PATH, json={})
        assert (refused.status_code, refused.json()["code"]) == (503, "REG-010")
        assert "retry-after" in refused.headers
        running.served.producer.away = ""
        assert client.post(PATH, json={}).status_code == 201


def test_only_so_many_wait(tmp_path: Path) -> None:
    with world(tmp_path, decided=False, request_deadline=2.0, most_waiting=3) as running, alice(running) as client:
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(client.post(PATH, json={}).status_code)) for _ in range(5)]
        for thread in threads:
            thread.start()
            time.sleep(0.05)
        for thread in threads:
            thread.join()
    assert sorted(answers) == [429, 429, 504, 504, 504]


EVENTS = [
    record
    for topic in ("fleet.registration.events", "fleet.certificates")
    for record in CONTRACT.topics[topic].records
    if record.name in {made.__name__ for made in message_types(CONTRACT.topics[topic]) if issubclass(made, Event)}
]


@pytest.mark.parametrize("record", EVENTS, ids=lambda record: record.name)
def test_the_correlation_id_stands_where_the_tail_looks_for_it(record: RecordType) -> None:
    """In every released version, and the present one."""
    schemas = [*versions(Path(__file__).parents[3] / "schemas", record.name).values(), record.schema]
    for schema in schemas:
        names = [field["name"] for field in schema["fields"][:3]]
        assert names == ["event_id", "command_id", "correlation_id"]
    ids = {name: f"{number}9aa000-0000-7000-8000-00000000000{number}0"[:36] for number, name in enumerate(names)}
    head = RecordType(record.name, record.context, {**record.schema, "fields": record.schema["fields"][:3]})
    value = prefix(7) + encode(head, ids)
    assert value[CORRELATION].decode() == ids["correlation_id"]
