"""Where v3's schemas come from: what is remembered, for how long, and what is written while the registry is away."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from connectors import registry as registry_module
from connectors.ingress import rest_schemas, v3_records_schemas
from connectors.memory_registry import MemoryRegistry
from connectors.ports import Away, SchemaRegistry, UnknownSchema
from connectors.registry import ConfluentRegistry, RegistryRefusal
from schemas.wire import schema_id
from tests.connectors.ingress.served import Served
from tests.connectors.ingress.v3_records_cases import WEATHER
from tests.connectors.ingress.v3_stream import PATH

BY: dict[str, dict[str, Any]] = {
    "id": {"schema_id": 5},
    "version": {"schema_version": 1},
    "latest": {},
    "text": {"type": "AVRO", "schema": json.dumps(WEATHER[0])},
}


def write(served: Served, **value: Any) -> httpx.Response:
    return served.post(PATH, {"value": {"data": {"t": 1}, **value}})


@pytest.fixture
def first(served: Served) -> int:
    """The id of version 1 of free-value."""
    found = served.registry.register("free-value", WEATHER[0])
    BY["id"]["schema_id"] = found
    return found


@pytest.mark.parametrize("by", BY)
def test_what_was_used_is_written_while_the_registry_is_away(served: Served, first: int, by: str) -> None:
    assert write(served, **BY[by]).status_code == 200
    served.registry.away = True
    assert write(served, **BY[by]).status_code == 200
    assert [schema_id(sent.value or b"") for sent in served.producer.sent] == [first, first]


@pytest.mark.parametrize("by", BY)
def test_what_is_not_known_waits_for_the_registry(served: Served, first: int, by: str) -> None:
    served.registry.away = True
    answer = write(served, **BY[by])
    assert (answer.status_code, answer.json()["error_code"], answer.headers["retry-after"]) == (408, 40801, "2")
    assert served.producer.sent == []
    served.registry.away = False
    assert write(served, **BY[by]).status_code == 200


@pytest.mark.parametrize("latest", [{}, {"schema_version": "latest"}, {"schema_version": -1}], ids=str)
def test_a_new_latest_version_is_written_soon(
    served: Served, first: int, monkeypatch: pytest.MonkeyPatch, latest: dict[str, Any]
) -> None:
    monkeypatch.setattr(v3_records_schemas, "LATEST_SECONDS", 0.2)
    assert write(served, **latest).json()["value"]["schema_version"] == 1
    served.registry.register("free-value", WEATHER[1])
    assert write(served, schema_version=1).json()["value"]["schema_version"] == 1
    until = time.monotonic() + 5
    while write(served, **latest).json()["value"]["schema_version"] != 2:
        assert time.monotonic() < until


def test_a_stream_asks_the_registry_once(served: Served, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    answer = served.registry.version
    monkeypatch.setattr(served.registry, "version", lambda *given: asked.append(given) or answer(*given))
    body = "".join(json.dumps({"value": {"data": {"t": number}}}) for number in range(500))
    lines = served.post(PATH, body.encode()).text.splitlines()
    assert [json.loads(line)["error_code"] for line in lines] == [200] * 500
    assert len(asked) <= 3  # one for each second that it takes


def test_a_schema_that_was_remembered_does_not_hide_what_does_not_go_together(served: Served, first: int) -> None:
    assert write(served, schema_version=1).status_code == 200
    assert write(served, schema_version=1, type="AVRO").status_code == 400
    assert write(served, schema_version=1, type="JSON").status_code == 400


class _Subjects(BaseHTTPRequestHandler):
    """Answers with version 1 of any subject but "none"; `away` answers 503. Counts what it is asked."""

    asked: list[str]
    away: bool

    def do_GET(self) -> None:
        kind = type(self)
        kind.asked.append(self.path)
        status, told = 200, {"subject": "s", "version": 1, "id": 7, "schema": '"int"'}
        if kind.away:
            status, told = 503, {"error_code": 50001, "message": "away"}
        elif "/none/" in self.path:
            status, told = 404, {"error_code": 40401, "message": "no subject"}
        body = json.dumps(["s"] if self.path == "/subjects" else told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: object) -> None:
        """Nothing."""


@pytest.fixture
def subjects() -> Iterator[tuple[type[_Subjects], ConfluentRegistry]]:
    kind = type("Subjects", (_Subjects,), {"asked": [], "away": False})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    registry = ConfluentRegistry(f"http://127.0.0.1:{server.server_address[1]}")
    yield kind, registry
    registry.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_numbered_version_is_asked_for_once(subjects: tuple[type[_Subjects], ConfluentRegistry]) -> None:
    kind, registry = subjects
    assert [registry.version("a/b", 1) for _ in range(3)] == [(1, 7, {"type": "int"})] * 3
    assert kind.asked == ["/subjects/a%2Fb/versions/1"]
    kind.away = True
    assert registry.version("a/b", 1).schema_id == 7
    assert registry.schema(7) == {"type": "int"}
    with pytest.raises(Away):
        registry.version("a/b", 2)


def test_a_latest_version_is_what_was_told_last_while_the_registry_is_away(
    subjects: tuple[type[_Subjects], ConfluentRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "SPARED_SECONDS", 0.5)
    kind, registry = subjects
    with pytest.raises(UnknownSchema):
        registry.version("none", "latest")
    for _ in range(2):
        registry.version("s", "latest")
    assert kind.asked.count("/subjects/s/versions/latest") == 2
    kind.away = True
    for _ in range(3):  # it is spared: asked once
        assert registry.version("s", "latest").number == 1
    assert kind.asked.count("/subjects/s/versions/latest") == 3
    with pytest.raises(Away):
        registry.version("other", "latest")
    kind.away = False
    until = time.monotonic() + 5
    while kind.asked.count("/subjects/s/versions/latest") == 3:
        registry.version("s", "latest")
        assert time.monotonic() < until


def test_the_registry_in_memory_answers_alike() -> None:
    registry = MemoryRegistry()
    port: SchemaRegistry = registry
    ids = [port.register("s", schema) for schema in WEATHER]
    assert port.version("s", 1) == (1, ids[0], WEATHER[0])
    assert port.version("s", "latest") == (2, ids[1], WEATHER[1])
    for wrong in (0, 3, -1):
        with pytest.raises(UnknownSchema):
            port.version("s", wrong)
    registry.away = True
    assert port.version("s", "latest").number == 2
    with pytest.raises(Away):
        port.version("s", 2)


def test_a_subject_has_a_bound(served: Served, first: int) -> None:
    for subject, status in (("s" * 512, 200), ("s" * 513, 400)):
        answer = write(served, schema_id=first, subject=subject)
        assert (answer.status_code, f"{subject[:512]}s" in answer.text) == (status, False)


def test_a_name_that_no_address_can_hold_is_refused() -> None:
    registry = ConfluentRegistry("http://127.0.0.1:9")
    for ask in (lambda: registry.version("s" * 100_000, "latest"), lambda: registry.register("s" * 100_000, WEATHER[0])):
        with pytest.raises(RegistryRefusal, match="name"):
            ask()
    registry.close()


def test_a_registry_that_hangs_keeps_nobody_longer_than_it_may(
    served: Served, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_schemas, "LOOKUP_SECONDS", 0.5)
    hanging = threading.Event()
    monkeypatch.setattr(served.registry, "version", lambda subject, number: hanging.wait(20))
    try:
        with ThreadPoolExecutor(30) as pool:
            started = time.monotonic()
            asked = [pool.submit(write, served, subject=f"s{i}") for i in range(30)]
            told = {(one.result().status_code, one.result().json()["error_code"]) for one in asked}
            assert time.monotonic() - started < 5
    finally:
        hanging.set()
    assert told == {(408, 40801)}
