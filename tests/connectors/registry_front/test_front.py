"""The front before a registry that is away, slow, broken or starting, and what of a request reaches it."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.connectors.registry_front.served import Answer, Asked, Behind, Served, registry_behind, serving

SCHEMA = {"schema": '"string"'}
V1 = "application/vnd.schemaregistry.v1+json"


@pytest.fixture
def served() -> Iterator[Served]:
    with registry_behind() as (behind, port), serving(behind, port) as made:
        yield made


def code(answer: httpx.Response) -> tuple[int, int]:
    told = answer.json()
    assert told.keys() == {"error_code", "message"}
    return answer.status_code, told["error_code"]


def told(document: object, status: int = 200) -> Answer:
    return status, json.dumps(document).encode()


def test_a_slow_registry_is_not_waited_for(served: Served) -> None:
    served.behind.answer = lambda asked: (time.sleep(3), told([]))[1]
    started = time.monotonic()
    answer = served.client.get("/subjects")
    assert code(answer) == (503, 50002)
    assert answer.headers["retry-after"] == "2"
    assert time.monotonic() - started < 2.5


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_registry_that_says_it_is_away_is_away(served: Served, status: int) -> None:
    served.behind.answer = lambda asked: (status, b"<html>")
    answer = served.client.get("/subjects")
    assert code(answer) == (503, 50003)
    assert "retry-after" in answer.headers


def test_an_answer_that_breaks_off_is_none(served: Served) -> None:
    served.behind.answer = lambda asked: None
    assert code(served.client.get("/subjects")) == (503, 50003)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((500, b'{"message": "NullPointerException", "error_code": 0}'), (500, 50001)),
        ((500, b"not JSON"), (500, 50001)),
        ((200, b"not JSON"), (500, 50001)),
        ((200, b""), (500, 50001)),
        ((200, b"[" * 100_000), (500, 50001)),
        ((204, b""), (500, 50001)),
        ((302, b""), (500, 50001)),
        ((400, b"Not able to deserialize"), (400, 400)),
        ((400, b'{"title": "t", "detail": "d", "status": 400}'), (400, 400)),
        ((409, b'{"message": "deleted", "error_code": 40406}'), (404, 40406)),
        ((429, b'{"message": "slow down", "error_code": 429}'), (429, 429)),
    ],
)
def test_whatever_it_answers_is_told_in_the_form_that_clients_know(
    served: Served, answer: Answer, expected: tuple[int, int]
) -> None:
    served.behind.answer = lambda asked: answer
    assert code(served.client.get("/subjects")) == expected


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    with registry_behind() as (behind, port), serving(behind, port, max_answer_bytes=10_000) as served:
        behind.answer = lambda asked: told(["x" * 1_000] * 20)
        assert code(served.client.get("/subjects")) == (500, 50001)


def test_what_is_known_is_answered_while_the_registry_is_away() -> None:
    with registry_behind() as (behind, port):
        behind.answer = lambda asked: told({"schema": '"string"'} if asked.method == "GET" else {"id": 7})
        with serving(behind, port) as served:
            for path in ("/schemas/ids/7", "/schemas/ids/7/schema"):
                assert served.client.get(path).status_code == 200
            assert served.client.post("/subjects/s/versions", json=SCHEMA).json() == {"id": 7}
            behind.answer = lambda asked: (503, b"")
            assert served.client.get("/schemas/ids/7").json() == {"schema": '"string"'}
            assert served.client.get("/schemas/ids/7/schema").json() == "string"
            assert served.client.post("/subjects/s/versions", json=SCHEMA).json() == {"id": 7}
            assert served.client.post("/subjects/s/versions", json={"schema": ' "string" '}).json() == {"id": 7}
            for request in (
                served.client.get("/schemas/ids/8"),
                served.client.get("/subjects"),
                served.client.post("/subjects/other/versions", json=SCHEMA),
                served.client.post("/subjects/s/versions", json={"schema": '"int"'}),
                served.client.delete("/subjects/s"),
            ):
                assert code(request) == (503, 50003)
            text = served.client.get("/metrics").text
            assert "fleetlog_registry_backend_up 0.0" in text
            assert "fleetlog_registry_recalled_answers 4.0" in text


def test_a_schema_deleted_for_good_is_forgotten(served: Served) -> None:
    served.behind.answer = lambda asked: told({"schema": '"string"'})
    assert served.client.get("/schemas/ids/7").status_code == 200
    served.behind.answer = lambda asked: told({"error_code": 40403, "message": "none"}, 404)
    assert code(served.client.get("/schemas/ids/7")) == (404, 40403)
    served.behind.answer = lambda asked: (503, b"")
    assert code(served.client.get("/schemas/ids/7")) == (503, 50003)


def test_nobody_is_shown_what_another_was_allowed_to_see(served: Served) -> None:
    served.behind.answer = lambda asked: told({"schema": '"string"'})
    assert served.client.get("/schemas/ids/7", headers={"Authorization": "Basic me"}).status_code == 200
    assert served.behind.asked[-1].authorization == "Basic me"
    served.behind.answer = lambda asked: (503, b"")
    assert served.client.get("/schemas/ids/7", headers={"Authorization": "Basic me"}).status_code == 200
    assert code(served.client.get("/schemas/ids/7")) == (503, 50003)
    assert code(served.client.get("/schemas/ids/7", headers={"Authorization": "Basic you"})) == (503, 50003)
    assert {asked.cookie for asked in served.behind.asked} == {None}, "a session of one caller is no other's"


def test_a_registry_that_has_not_read_its_log_is_asked_nothing(served: Served) -> None:
    served.behind.ready = 503
    assert code(served.client.get("/schemas/ids/7")) == (503, 50003)
    assert served.behind.asked == []
    assert served.client.get("/health/ready").status_code == 503
    assert served.client.get("/health/live").status_code == 200
    served.behind.ready = 200
    assert code(served.client.get("/schemas/ids/7")) == (404, 40403)
    assert served.client.get("/health").json() == {"status": "ready", "checks": {"registry": "ok"}}


def test_a_registry_that_nobody_listens_for_is_away() -> None:
    with registry_behind() as (_, port):
        pass
    with serving(Behind(), port) as served:
        assert code(served.client.get("/subjects")) == (503, 50003)
        assert served.client.get("/health").status_code == 503
        assert served.client.get("/schemas/types").status_code == 200, "what needs no registry is answered"


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/subjects/a%2Fb/versions", "/subjects/a%2Fb/versions"),
        ("/subjects/a%2F..%2Fb/versions", "/subjects/a%2F..%2Fb/versions"),
        ("/subjects/a%252Fb/versions", "/subjects/a%252Fb/versions"),
        ("/subjects/a%3Fdeleted=true/versions", "/subjects/a%3Fdeleted%3Dtrue/versions"),
        ("/subjects/a;x=y/versions", "/subjects/a%3Bx%3Dy/versions"),
        ("/subjects/a%0d/versions", None),
        ("/subjects/%2e%2e/versions", None),
        ("/subjects/../versions", None),
        ("/subjects/../../native/versions", None),
        ("/subjects//versions", None),
        ("//subjects", None),
        ("/subjects/a/../../config", None),
        ("/subjects/a/versions/1%2F..%2F2", None),
        ("/schemas/ids/1%2F..%2F2", None),
        ("/schemas/ids/%31", "/schemas/ids/1"),
        ("/schemas/ids/1?subject=a&format=x&groupId=y", "/schemas/ids/1"),
        ("/subjects/a/versions?deleted=TRUE", "/subjects/a/versions?deleted=true"),
        ("/subjects/a/versions?deleted=true%26deletedOnly=true", "/subjects/a/versions"),
        ("/subjects/a/versions?deleted=true&deleted=true", None),
        ("/subjects/a/versions?deleted=%FF", None),
    ],
)
def test_only_what_was_understood_reaches_the_registry(served: Served, path: str, sent: str | None) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Registry-GroupId: other\r\nConnection: close\r\n\r\n"
    head, _, body = served.raw(request.encode()).partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert json.loads(body)["error_code"] // (100 if status != 400 else 1) in (status, status // 100)
    assert served.behind.paths[:1] == ([] if sent is None else [f"/confluent{sent}"])


def test_names_that_cannot_be_asked_for_are_not_listed(served: Served) -> None:
    served.behind.answer = lambda asked: told(["b", ".", "..", "", "a", "a\nb", ":.ctx:s", "n" * 513, ":x", "..."])
    assert served.client.get("/subjects").json() == ["...", ":x", "a", "b"]


def test_a_hundred_thousand_subjects(served: Served) -> None:
    names = [f"fleet.topic-{number:06d}-value" for number in range(100_000)]

    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/confluent/subjects?") or asked.path == "/confluent/subjects":
            return told(names)
        return told({"subject": "s", "version": 1, "id": 1, "schema": '"string"'})

    served.behind.answer = answer
    started = time.monotonic()
    assert served.client.get("/subjects").json() == names
    assert served.client.get("/subjects?subjectPrefix=fleet.topic-09999").json() == names[99_990:]
    assert served.client.get("/subjects?offset=99999&limit=5").json() == names[99_999:]
    assert len(served.client.get("/schemas?latestOnly=true&limit=200").json()) == 200
    assert len(served.behind.asked) == 4 + 200, "no more is asked for than is told"
    assert time.monotonic() - started < 20


def test_a_registry_of_confluent_decides_for_itself(served: Served) -> None:
    """Apicurio's departures are mended where it is the registry behind, only there."""

    def answer(asked: Asked) -> Answer:
        if asked.path == "/confluent/config/s":
            return told({"error_code": 40408, "message": "none"}, 404)
        return told({"is_compatible": False, "messages": ["why"]} if asked.method == "POST" else {"mode": "READONLY"})

    served.behind.answer = answer
    assert code(served.client.get("/config/s")) == (404, 40408)
    verdict = {"is_compatible": False, "messages": ["why"]}
    for version in ("", "/latest", "/3"):
        path = f"/compatibility/subjects/s/versions{version}?verbose=true"
        assert served.client.post(path, json=SCHEMA).json() == verdict
    served.behind.asked.clear()
    served.behind.answer = lambda asked: told({"id": 7})
    assert served.client.post("/subjects/s/versions", json=SCHEMA | {"id": 7, "version": 2}).json() == {"id": 7}
    assert served.behind.paths == ["/confluent/subjects/s/versions"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"schema": '"' + "a" * 2_001 + '"'}, (422, 42209)),
        ({"schema": "[" * 51 + "]" * 51}, (422, 42201)),
        ({"schema": '{"type":"array","items":' * 51 + '"int"' + "}" * 51}, (422, 42201)),
        ({"schema": "[" * 40}, (422, 42201)),
        ({"schema": '{"default": 1e999}'}, (422, 42201)),
        ({"schema": '{"default": NaN}'}, (422, 42201)),
        ({"schema": "1" * 900}, (404, 40403)),
        ({"schema": '"string"', "x": [[[[]]]]}, (404, 40403)),
        ({"schema": '"string"', "references": [{}] * 1_001}, (422, 42201)),
        ({"schema": '"string"', "references": [{"name": "n", "subject": "..", "version": 1}]}, (422, 42208)),
        ({"schema": '"string"', "references": [{"name": "n", "subject": "s", "version": 1.5}]}, (422, 42201)),
        ({"schema": '"string"', "ruleSet": {"domainRules": []}}, (422, 42205)),
        ({"schema": '"string"', "metadata": {"properties": {}}}, (422, 42205)),
        ({"schema": '"string"', "version": 2**31}, (422, 42201)),
        ({"schema": '"string"', "id": True}, (422, 42201)),
    ],
)
def test_bombs_do_not_reach_the_registry(body: object, expected: tuple[int, int]) -> None:
    with registry_behind() as (behind, port), serving(behind, port, max_schema_bytes=2_000, max_schema_depth=50) as served:
        assert code(served.client.post("/subjects/s/versions", json=body)) == expected
        assert len(behind.asked) == (expected == (404, 40403))


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"[" * 1_000, {}, (400, 400)),
        (b'{"schema":' * 40 + b"1" + b"}" * 40, {}, (400, 400)),
        (b'{"schema": "\\ud800"}', {}, (400, 400)),
        (b'{"schema": "\xff"}', {}, (400, 400)),
        (b"x" * 2_001, {}, (413, 413)),
        (b"x", {"Content-Encoding": "gzip"}, (400, 400)),
        (b"x", {"Content-Encoding": "br"}, (415, 415)),
    ],
)
def test_bodies_that_are_none_are_told(content: bytes, headers: dict[str, str], expected: tuple[int, int]) -> None:
    with registry_behind() as (behind, port), serving(behind, port, max_body_bytes=2_000) as served:
        answer = served.client.post("/subjects/s/versions", content=content, headers={"Content-Type": V1} | headers)
        assert (answer.status_code, answer.headers["content-type"]) == (expected[0], V1)
        assert code(answer) == expected
        assert behind.asked == []
