"""A registry that is away, and schemas deleted in it, stop no upload of what the ingress already knows."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack
from schemas.contract import load
from tests.connectors.ingress.real_topics import make_topics
from tests.connectors.ingress.uploads import telemetry
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
FREE = "free-topic"
PATH = "/v1/devices/d-1/telemetry"
REGISTRY = ("registry-front", "registry")
AVRO = "application/vnd.kafka.avro.v2+json"
KNOWN = json.dumps({"type": "record", "name": "Known", "fields": [{"name": "a", "type": "string"}]})
TOPIC = load().topics["fleet.telemetry"]
WIDER = KNOWN.replace("}]", '}, {"name": "b", "type": "int", "default": 0}]')
SUBJECTS = (f"{FREE}-value", TOPIC.subject(TOPIC.record))


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with shared_stack.lend(tmp_path_factory.mktemp("away"), only=services, settings=Settings(rest_topics=FREE)) as running:
        make_topics(running, {FREE: 1})
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"X-API-Key": api_key(stack.settings)}
    with httpx.Client(base_url=stack.settings.ingress, headers=headers, timeout=30) as made:
        yield made


def written(client: httpx.Client, **schema: object) -> httpx.Response:
    body = {**schema, "records": [{"value": {"a": "x"}}]}
    return client.post(f"/topics/{FREE}", content=json.dumps(body), headers={"Content-Type": AVRO})


def id_of(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    assert answer.json()["offsets"][0]["error_code"] is None
    return int(answer.json()["value_schema_id"])


def upload(client: httpx.Client, number: int) -> Any:
    answer = client.post(PATH, json=telemetry(number))
    assert answer.status_code == 200, answer.text
    return answer.json()


def restart_ingress(stack: Stack) -> None:
    stack.kill("ingress")
    stack.wait_healthy("ingress", 60)


def delete(stack: Stack, permanent: bool) -> None:
    with httpx.Client(base_url=stack.settings.registry, timeout=30) as registry:
        for subject in SUBJECTS:
            query = "?permanent=true" if permanent else ""
            answer = registry.delete(f"/subjects/{subject}{query}")
            assert answer.status_code == 200, answer.text


def test_a_registry_that_goes_away_stops_nothing_that_is_known(stack: Stack, client: httpx.Client) -> None:
    number = id_of(written(client, value_schema=KNOWN))
    first = upload(client, 1)
    for name in REGISTRY:
        stack.stop(name)
    try:
        for restarted in (False, True):
            if restarted:
                restart_ingress(stack)
            assert upload(client, 2 + restarted)
            assert upload(client, 1)["event_id"] == first["event_id"], "a retry is still recognised"
            assert id_of(written(client, value_schema=KNOWN)) == number
            assert id_of(written(client, value_schema_id=number)) == number
            unknown = written(client, value_schema=KNOWN.replace("Known", "Unknown"))
            assert (unknown.status_code, unknown.json()["error_code"]) == (408, 40801)
            assert "retry-after" in unknown.headers
    finally:
        for name in reversed(REGISTRY):
            stack.start(name)
    assert id_of(written(client, value_schema=WIDER)) != number


@pytest.mark.parametrize("permanent", [False, True], ids=["softly", "for good"])
def test_a_schema_that_is_deleted_is_still_written(stack: Stack, client: httpx.Client, permanent: bool) -> None:
    number = id_of(written(client, value_schema=KNOWN))
    first = upload(client, 10 + permanent)
    delete(stack, permanent=False)
    if permanent:
        delete(stack, permanent=True)
    for restarted in (False, True):
        if restarted:
            restart_ingress(stack)
        assert upload(client, 20 + 2 * permanent + restarted)
        assert upload(client, 10 + permanent)["event_id"] == first["event_id"], "a retry is still recognised"
        assert id_of(written(client, value_schema_id=number)) == number
        assert id_of(written(client, value_schema=KNOWN))
