"""The table of cases, and what all faults have in common."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from connectors.registration.routes import ANSWERED
from schemas.registration_errors import ERRORS
from tests.connectors.ingress.served import KEY, key_of
from tests.connectors.registration.devices import text
from tests.connectors.registration.world import World, world
from tests.streams.registration.keyring import key

CASES = tomllib.loads((Path(__file__).parent / "cases.toml").read_text("utf-8"))["case"]
UUID = "019aa000-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as made:
        yield made


def filled(text_of: str) -> str:
    return text_of.replace("$KEY", text(key("ec", 99).public)).replace("$UUID", UUID)


def sent(running: World, case: dict[str, Any]) -> httpx.Response:
    by = case.get("by", "")
    headers = {"Content-Type": case.get("content_type", "application/json"), **case.get("headers", {})}
    if by:
        headers["X-API-Key"] = KEY if by == "owner" else key_of(by)
    method = case.get("method", "POST")
    with httpx.Client(base_url=running.served.client.base_url, timeout=20) as client:
        return client.request(method, filled(case["path"]), content=filled(case.get("body", "")), headers=headers)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_case(running: World, case: dict[str, Any]) -> None:
    answer = sent(running, case)
    assert answer.status_code == case["status"], answer.text
    told = answer.json()
    assert told.get("code") == case.get("code")
    for name, value in case.get("fields", {}).items():
        assert told[name] == value
    if "code" in case:
        assert answer.headers["content-type"] == "application/problem+json"
        assert told["user_action"]
        assert told["user_action"] == case.get("user_action", told["user_action"])
        assert [error["path"] for error in told["errors"]][: len(case.get("errors", []))] == case.get("errors", [])
        assert case.get("says", "") in told["detail"]


def test_every_code_has_a_status_a_message_and_an_action() -> None:
    for error in ERRORS.values():
        assert 400 <= error.status < 600
        assert error.message
        assert error.action


def test_no_answer_that_holds_a_secret_is_kept_between(running: World) -> None:
    answer = sent(running, {"by": "alice", "path": "/v1/devices/claim-token", "body": "{}"})
    assert answer.headers["cache-control"] == "no-store"


def test_neither_token_nor_pin_is_in_the_log(running: World) -> None:
    made = sent(running, {"by": "alice", "path": "/v1/devices/claim-token", "body": "{}"}).json()
    written = b"".join(sent.value or b"" for sent in running.served.producer.sent)
    secret = made["claim_token"].partition(".")[2]
    assert made["claim_id"].encode() in written
    assert secret.encode() not in written
    assert made["fallback_pin"].encode() not in written


def test_the_description_is_valid_and_has_every_operation(running: World) -> None:
    document = running.served.client.get("/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    described = {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if "registration" in operation["tags"]
    }
    assert described == ANSWERED.keys()
