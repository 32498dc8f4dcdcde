"""A key that is taken out opens nothing any more, also to requests that have begun."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from connectors.ingress.access import Principal
from schemas.log import TopicPartition
from tests.connectors.ingress.raw import connect, replies
from tests.connectors.ingress.served import Served, key_of, options, principal, serving
from tests.connectors.ingress.v3_stream import PATH, Stream, codes, record, wait_until

V2 = "application/vnd.kafka.json.v2+json"


@pytest.fixture
def others() -> list[Principal]:
    return [principal("station", write=("free",))]


@pytest.fixture
def served(tmp_path: Path, others: list[Principal]) -> Iterator[Served]:
    with serving(options(tmp_path), others=others) as running:
        yield running


def test_a_stream_ends_where_its_key_is_taken_out(served: Served, others: list[Principal]) -> None:
    with connect(served.port) as connection:
        stream = Stream(connection, key=key_of("station"))
        stream.send(record(1))
        assert codes(stream.results(1)) == [200]
        others.clear()
        stream.send(record(2))
        stream.send(record(3))
        assert codes(stream.close()) == [40301]
    assert [sent.value for sent in served.producer.sent] == [b"1"]


@pytest.mark.parametrize("idempotency", ["", "Idempotency-Key: k\r\n"])
@pytest.mark.parametrize(
    ("path", "media_type", "body"),
    [
        (PATH, "application/json", record(1) * 100),
        (f"{PATH}:batch", "application/json", b'{"entries":[{"id":"1"}]}'),
        ("/topics/free", V2, b'{"records":[{"value":1}]}'),
    ],
)
def test_a_body_that_comes_after_its_key_was_taken_out_is_not_written(
    served: Served, others: list[Principal], path: str, media_type: str, body: bytes, idempotency: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key_of('station')}\r\nContent-Type: {media_type}\r\n"
    head += f"{idempotency}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    with connect(served.port) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        others.clear()
        connection.sendall(body)
        (answer,) = replies(connection, 1)
    assert (answer.status, json.loads(answer.body)["error_code"]) == (403, 40301)
    assert not served.producer.sent


def test_who_waits_for_records_is_not_given_them_after_its_key_was_taken_out(
    served: Served, others: list[Principal]
) -> None:
    found: list[httpx.Response] = []
    address = f"http://127.0.0.1:{served.port}/v1/log/free/0"

    def wait() -> None:
        headers = {"X-API-Key": key_of("station")}
        found.append(httpx.get(address, params={"from": "latest", "wait": "10"}, headers=headers, timeout=20))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: served.pages.reads == 1)
    others.clear()
    served.call(lambda: served.producer.log.append(TopicPartition("free", 0), None, b"secret"))
    thread.join(20)
    assert found[0].status_code == 403
    assert b"secret" not in found[0].content
