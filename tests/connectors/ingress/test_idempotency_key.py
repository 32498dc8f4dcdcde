"""The header Idempotency-Key: the table of idempotency_keys.toml, over HTTP; and what makes a request the same."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.request import Request
from connectors.ingress.idempotency_key import HEADER, fingerprint, idempotency_key, name_digest, request_name
from tests.connectors.ingress.keyed import JSON_V2, PATH, body_of, post, replayed
from tests.connectors.ingress.raw import ask, request
from tests.connectors.ingress.served import Served, options, serving
from tests.connectors.ingress.uploads import telemetry

TABLE = Path(__file__).parent / "idempotency_keys.toml"
VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)


def cases() -> list[dict[str, str]]:
    found = tomllib.loads(TABLE.read_text("utf-8"))["case"]
    return [{name: _filled(text) for name, text in case.items()} for case in found]


def _filled(text: str) -> str:
    return text.replace("{255}", "k" * 255).replace("{256}", "k" * 256)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("ingress"))) as running:
        yield running


def send(served: Served, headers: bytes) -> Any:
    body = body_of([1])
    head = request(
        path=PATH, headers={"Content-Type": JSON_V2, "Content-Length": str(len(body)), "Mark": "mark"}, length=False
    )
    return ask(served.port, head.replace(b"Mark: mark\r\n", headers) + body)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_a_header(served: Served, case: dict[str, str]) -> None:
    before = len(served.producer.sent)
    reply = send(served, b"Idempotency-Key: " + case["header"].encode() + b"\r\n")
    if "key" in case:
        assert reply.status == 200
        again = post(served, quoted(case["key"]), [1])
        assert again.status_code == 200
        assert replayed(again)
        assert again.content == reply.body
    else:
        assert (reply.status, reply.json["error_code"]) == (400, 40090)
        assert "Idempotency-Key" in reply.json["message"]
        assert reply.json["message"].count("visible ASCII characters") == 1
        assert len(served.producer.sent) == before


def quoted(key: str) -> str:
    return '"' + key.replace("\\", r"\\").replace('"', r"\"") + '"'


def test_two_headers_are_refused(served: Served) -> None:
    assert send(served, b"Idempotency-Key: abc\r\nIdempotency-Key: abc\r\n").status == 400


def test_the_device_api_does_not_look_at_it(served: Served) -> None:
    path = "/v1/devices/d-1/telemetry"
    answers = [
        served.post(path, telemetry(number), Idempotency_Key=key) for key in ('"not, a key', "k") for number in (1, 2)
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].content != answers[1].content
    assert [answer.content for answer in answers[:2]] == [answer.content for answer in answers[2:]]
    assert not any(map(replayed, answers))


def asked(method: str = "POST", path: bytes = b"/topics/t", query: bytes = b"", **headers: bytes) -> Request:
    async def part() -> tuple[bytes, bool]:
        return b"", False

    return Request(method, path, {name.replace("_", "-").encode(): value for name, value in headers.items()}, part, query)


@given(VISIBLE)
def test_any_visible_text_is_a_key_in_quotes(key: str) -> None:
    assert idempotency_key(asked(**{HEADER.decode(): quoted(key).encode()})) == key


def test_no_header_is_no_key() -> None:
    assert idempotency_key(asked()) is None


def test_what_differs_is_another_request() -> None:
    variants = [
        (asked(), b""),
        (asked("PUT"), b""),
        (asked(path=b"/topics/u"), b""),
        (asked(query=b"x=1"), b""),
        (asked(content_type=b"application/json"), b""),
        (asked(), b"{}"),
        (asked(path=b"/topics/", query=b"t"), b""),
    ]
    assert len({fingerprint(*variant) for variant in variants}) == len(variants)
    same = asked(content_type=b"Application/JSON", accept=b"*/*", traceparent=b"x")
    assert fingerprint(same, b"1") == fingerprint(asked(content_type=b"application/json"), b"1")


@given(st.tuples(VISIBLE, VISIBLE), st.tuples(VISIBLE, VISIBLE))
def test_principal_and_key_are_told_apart(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = [request_name(principal.replace("/", "."), key) for principal, key in (one, other)]
    same = (one[0].replace("/", "."), one[1]) == (other[0].replace("/", "."), other[1])
    assert (names[0] == names[1]) is same
    assert (name_digest(names[0]) == name_digest(names[1])) is same
