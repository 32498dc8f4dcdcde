"""Reading by position: what a table of cases can't say. Waiting, pressure, the registry, streams, access, any walk."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.ingress import log_api
from connectors.ingress.access import Rights
from connectors.ports import Away
from schemas.log import TopicPartition
from schemas.wire import prefix
from tests.connectors.ingress.log_cases import next_of, records_of
from tests.connectors.ingress.log_world import reading_schema, readings
from tests.connectors.ingress.served import KEY, Served, key_of, options, principal, serving

FREE = TopicPartition("free", 0)
PATH = "/v1/log/free/0"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    others = [principal("viewer", read=("fleet.dead-letters",), devices=False), principal("device")]
    with serving(options(tmp_path), owner=Rights(read=("*",)), others=others) as running:
        yield running


def put(served: Served, *values: bytes | None) -> None:
    for value in values:
        served.producer.log.append(FREE, b"k", value)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# --- waiting


def test_a_record_that_comes_ends_the_wait_of_all(served: Served) -> None:
    put(served, b"1")
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(served.client.get, f"{PATH}?from=1&wait=20") for _ in range(20)]
        time.sleep(0.5)
        assert not any(one.done() for one in waiting)
        reads = served.pages.reads
        assert reads == 20, "who waits asks for no pages"
        started = time.monotonic()
        served.call(lambda: put(served, b"2"))
        answers = [one.result(10) for one in waiting]
    assert time.monotonic() - started < 5
    assert [[record["value"] for record in records_of(answer)] for answer in answers] == [[2]] * 20
    assert {next_of(answer) for answer in answers} == {f"{PATH}?from=2&wait=20"}


def test_a_wait_goes_on_past_what_is_not_shown(served: Served) -> None:
    """Records that were aborted move the end on, and nothing else."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.client.get, f"{PATH}?from=0&wait=20")
        time.sleep(0.3)
        served.call(lambda: served.producer.log.skip(FREE, 2))
        time.sleep(0.3)
        assert not waiting.done()
        served.call(lambda: put(served, b"it"))
        answer = waiting.result(10)
    assert (answer.json()["from"], [one["offset"] for one in records_of(answer)]) == (0, [2])


def test_a_wait_in_vain_ends_in_time(served: Served) -> None:
    started = time.monotonic()
    answer = served.client.get(f"{PATH}?from=latest&wait=0.5")
    assert 0.4 < time.monotonic() - started < 5
    assert records_of(answer) == []


def test_a_broker_that_goes_away_ends_the_wait(served: Served) -> None:
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(served.client.get, f"{PATH}?wait=20") for _ in range(2)]
        time.sleep(0.3)
        served.pages.away = "gone"
        assert [code_of(one.result(10)) for one in waiting] == [(503, "BROKER_UNAVAILABLE")] * 2
    served.pages.away = ""
    assert served.client.get(PATH).status_code == 200


def test_records_that_are_lost_while_one_waits_are_told(served: Served) -> None:
    log = served.producer.log

    def lose() -> None:
        put(served, b"1", b"2")
        log.truncate(FREE, 2)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.client.get, f"{PATH}?from=0&wait=20")
        time.sleep(0.3)
        served.call(lose)
        answer = waiting.result(10)
    assert code_of(answer) == (410, "OFFSET_GONE")
    assert answer.headers["log-first-offset"] == "2"


def test_only_so_many_may_wait(served: Served) -> None:
    with patch("connectors.ingress.log_tail.MOST_WAITING", 3), ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(served.client.get, f"{PATH}?from=0&wait=20") for _ in range(3)]
        time.sleep(0.4)
        answer = served.client.get(f"{PATH}?from=0&wait=20")
        assert code_of(answer) == (429, "OVERLOADED")
        assert answer.headers["retry-after"]
        served.call(lambda: put(served, b"1"))
        assert [one.result(10).status_code for one in waiting] == [200] * 3


# --- pressure


def test_only_so_many_pages_are_read_at_once_and_every_place_is_given_back(served: Served) -> None:
    put(served, *[b"x" * 100] * 50)
    gate, inner = threading.Event(), served.pages.page

    async def slow(*asked: Any) -> Any:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        return await inner(*asked)

    slowly, hurried = patch.object(served.pages, "page", slow), patch.object(log_api, "PATIENCE", 0.3)
    with slowly, hurried, ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(served.client.get, f"{PATH}?from={number}") for number in range(40)]
        until = time.monotonic() + 10
        while sum(one.done() for one in asked) < 40 - log_api.MOST_PAGES:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert served.client.get("/health/live").status_code == 200
        gate.set()
        statuses = [one.result(10).status_code for one in asked]
    assert (statuses.count(200), statuses.count(429)) == (log_api.MOST_PAGES, 40 - log_api.MOST_PAGES)
    for path in ("?from=99", "?from=0&wait=0", "?limit=1&format=avro", "?format=ndjson"):
        for _ in range(log_api.MOST_PAGES + 1):
            assert served.client.get(PATH + path).status_code in (200, 416)


def test_clients_that_leave_a_stream_give_their_place_back(served: Served) -> None:
    put(served, *[b"x" * 1000] * 3000)
    for _ in range(log_api.MOST_PAGES + 4):
        with socket.create_connection(("127.0.0.1", served.port), 5) as connection:
            connection.sendall(f"GET {PATH}?limit=10000 HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\n\r\n".encode())
            assert connection.recv(10).startswith(b"HTTP/1.1")
    until = time.monotonic() + 10
    while (answer := served.client.get(f"{PATH}?limit=10000")).status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert len(records_of(answer)) == 3000
    lines = served.client.get(f"{PATH}?limit=10000&format=ndjson")
    assert [one["offset"] for one in records_of(lines)] == list(range(3000))
    head = served.client.head(f"{PATH}?limit=10000")
    assert (head.content, int(head.headers["content-length"])) == (b"", len(answer.content))


def test_decoding_keeps_nobody_else_waiting(served: Served) -> None:
    put(served, *[b'{"a": [%s]}' % b",".join([b"1.5"] * 50)] * 10_000)
    slowest = 0.0
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(served.client.get, f"{PATH}?limit=10000") for _ in range(3)]
        while not all(one.done() for one in asked):
            started = time.monotonic()
            assert served.client.get("/health/live").status_code == 200
            slowest = max(slowest, time.monotonic() - started)
    assert slowest < 1.0
    answers = [one.result() for one in asked]
    assert answers[0].content == answers[1].content == answers[2].content
    assert answers[0].json()["full"] is True


def test_pages_are_bounded_by_size(served: Served) -> None:
    put(served, *[b"x" * 1_000_000] * 6, b"y" * 9_000_000, b"z")
    counts, path = [], f"{PATH}?from=0&limit=100"
    while True:
        answer = served.client.get(path)
        if not records_of(answer):
            break
        counts.append(len(records_of(answer)))
        path = next_of(answer)
    assert counts == [3, 3, 1, 1]


# --- the registry


def test_a_registry_that_is_away_is_told_for_what_is_not_known_yet(served: Served) -> None:
    ids = [served.registry.register("free-value", reading_schema(version)) for version in (1, 2)]
    put(served, readings(ids)[0].value, readings(ids)[15].value, b"text")
    known = served.client.get(f"{PATH}?from=0&limit=1")
    assert known.json()["records"][0]["value_type"] == "avro"
    served.registry.away = True
    answer = served.client.get(f"{PATH}?from=0&limit=2")
    assert code_of(answer) == (503, "REGISTRY_UNAVAILABLE")
    assert answer.headers["retry-after"]
    assert served.client.get(f"{PATH}?from=0&limit=1").content == known.content
    assert [one["value_type"] for one in records_of(served.client.get(f"{PATH}?from=2"))] == ["text"]
    assert [one["schema_id"] for one in records_of(served.client.get(f"{PATH}?values=base64"))] == [*ids, None]
    served.registry.away = False
    until = time.monotonic() + 5
    while (answer := served.client.get(f"{PATH}?from=0&limit=2")).status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert [one["value_type"] for one in records_of(answer)] == ["avro", "avro"]


def test_an_id_that_nobody_knows_is_asked_for_once_in_a_while(served: Served) -> None:
    put(served, prefix(77) + b"a", prefix(77) + b"b")
    asked: list[int] = []
    inner = served.registry.schema

    def counted(number: int) -> dict[str, Any]:
        asked.append(number)
        return inner(number)

    served.registry.schema = counted  # type: ignore[method-assign]
    for _ in range(3):
        answer = served.client.get(f"{PATH}?from=0&limit=2")
        assert ["no schema 77" in one["error"] for one in records_of(answer)] == [True, True]
        assert answer.headers["cache-control"] == "private, no-cache", "it may be known later"
    assert asked == [77]


def test_bytes_that_look_like_many_schemas_are_read_in_small_pages(served: Served) -> None:
    put(served, *[prefix(1000 + number) + b"?" for number in range(50)])
    found, path = [], f"{PATH}?from=0&limit=1000"
    while records := records_of(answer := served.client.get(path)):
        assert len(records) <= 20
        found += [record["offset"] for record in records]
        path = next_of(answer)
    assert found == list(range(50))


def test_a_schema_that_can_not_be_read_with_is_told_of_each_record(served: Served) -> None:
    number = served.registry.register("free-value", {"type": "array", "items": "null"})
    put(served, prefix(number) + b"\x00")
    (record,) = records_of(served.client.get(PATH))
    assert record["value_type"] == "binary"
    assert "can't be read with" in record["error"]


# --- who may read what, and what never changes


def test_each_principal_reads_what_it_may(served: Served) -> None:
    def topics(name: str) -> list[str]:
        found = served.client.get("/v1/log", headers={"X-API-Key": key_of(name)}).json()["topics"]
        return [one["topic"] for one in found]

    served.producer.topics.pop("hidden")
    assert topics("viewer") == ["fleet.dead-letters"]
    assert topics("device") == ["fleet.device-events", "fleet.heartbeats", "fleet.telemetry"]
    answer = served.client.get("/v1/log/fleet.telemetry/0", headers={"X-API-Key": key_of("viewer")})
    assert code_of(answer) == (403, "TOPIC_FORBIDDEN")
    for topic in ("_schemas", "kafkasql-journal", "registry-events", "__consumer_offsets"):
        assert code_of(served.client.get(f"/v1/log/{topic}/0")) == (403, "TOPIC_FORBIDDEN")


def test_a_broker_that_is_known_to_be_away_is_told_at_once(served: Served) -> None:
    served.producer.away = "no broker"
    for path in ("/v1/log", "/v1/log/free", PATH, f"{PATH}?wait=30"):
        assert code_of(served.client.get(path)) == (503, "BROKER_UNAVAILABLE")
    assert served.pages.reads == 0


def test_a_topic_that_was_deleted_is_not_there(served: Served) -> None:
    served.producer.topics["late"] = 1
    for path in ("/v1/log/late", "/v1/log/late/0", "/v1/log/late/0?at=2026-05-01T12:00:00Z"):
        assert code_of(served.client.get(path)) == (404, "TOPIC_NOT_FOUND")


@pytest.mark.parametrize(
    ("policy", "lasts"), [("delete", True), ("compact", False), ("compact,delete", False), (None, False)]
)
def test_pages_of_compacted_topics_are_not_kept(served: Served, policy: str | None, lasts: bool) -> None:
    async def configs(topic: str) -> dict[str, str | None]:
        if policy is None:
            raise Away("no answer")
        return {"cleanup.policy": policy}

    put(served, b"1")
    served.cluster.configs = configs  # type: ignore[method-assign]
    answer = served.client.get(f"{PATH}?from=0&limit=1")
    assert ("immutable" in answer.headers["cache-control"]) is lasts


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limits=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    forms=st.lists(st.sampled_from(["json", "ndjson", "avro"]), min_size=1, max_size=3),
    holes=st.sets(st.integers(0, 60), max_size=20),
)
def test_any_walk_gives_the_log_in_order_once_while_others_write(
    served: Served, limits: list[int], forms: list[str], holes: set[int]
) -> None:
    log, (_, end) = served.producer.log, served.producer.log.bounds(["free"])[FREE]
    written: list[int] = []

    def write(count: int) -> None:
        for _ in range(count):
            if len(written) in holes:
                log.skip(FREE, 2)
            written.append(log.append(FREE, None, b'{"n": %d}' % len(written) if len(written) % 3 else b"\xff"))

    served.call(lambda: write(20))
    found, step = [], 0
    offset = end
    while len(found) < 60:
        path = f"{PATH}?from={offset}&limit={limits[step % len(limits)]}&format={forms[step % len(forms)]}"
        answer = served.client.get(path)
        found += [record["offset"] for record in records_of(answer)]
        offset = int(httpx.URL(next_of(answer)).params["from"])
        if len(written) < 60 and step % 2:
            served.call(lambda: write(20))
        elif not records_of(answer):
            served.call(lambda: write(min(20, 60 - len(written))))
        if "immutable" in answer.headers["cache-control"]:
            assert served.client.get(path).content == answer.content
        step += 1
    assert found == written[: len(found)]
    assert len(written) == 60


def test_json_values_are_passed_through_digit_by_digit(served: Served) -> None:
    put(served, b'{"price": 1.10, "id": 123456789012345678901234567890, "a": 1, "a": 2}', b"[" * 5000 + b"]" * 5000, b"NaN")
    lines = served.client.get(f"{PATH}?format=ndjson").text.splitlines()
    assert '"value":{"price":1.10,"id":123456789012345678901234567890,"a":1,"a":2}' in lines[0]
    assert [json.loads(line)["value_type"] for line in lines[1:]] == ["text", "text"]
