"""Reading by position: requests that wait for records, and what happens when there are too many."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import patch

from connectors.ingress import log_api
from tests.connectors.ingress.log_cases import next_of, records_of
from tests.connectors.ingress.log_serving import FREE, PATH, code_of, put
from tests.connectors.ingress.served import KEY, Served

# --- waiting


def until(came_true: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not came_true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_record_that_comes_ends_the_wait_of_all(served: Served) -> None:
    put(served, b"1")
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(served.client.get, f"{PATH}?from=1&wait=20") for _ in range(20)]
        until(lambda: served.pages.reads == 20)
        time.sleep(0.3)
        assert not any(one.done() for one in waiting)
        assert served.pages.reads == 20, "who waits asks for no pages"
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


def test_who_waits_is_answered_when_the_server_stops(served: Served) -> None:
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(served.client.get, f"{PATH}?from=0&wait=20") for _ in range(2)]
        time.sleep(0.4)
        started = time.monotonic()
        served.call(served.server.stop)
        answers = [one.result(10) for one in waiting]
    assert time.monotonic() - started < 3
    assert [(answer.status_code, next_of(answer)) for answer in answers] == [(200, f"{PATH}?from=0&wait=20")] * 2


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
