"""Bodies that take long to convert keep nobody else waiting."""

import json
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.connectors.ingress.served import Served, options, serving
from tests.connectors.ingress.v3_stream import PATH

INTS = json.dumps(json.dumps({"type": "array", "items": "int"})).encode()
DATA = b"[" + b"1," * 4_000_000 + b"1]"
SMALL = b"[" + b"1," * 100_000 + b"1]"
JSON = "application/json"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("long"))) as running:
        yield running


def avro(data: bytes) -> bytes:
    return b'{"value":{"type":"AVRO","schema":' + INTS + b',"data":' + data + b"}}"


@pytest.mark.parametrize(
    ("path", "media_type", "body", "status"),
    [
        (PATH, JSON, avro(DATA), 200),
        (PATH, JSON, avro(SMALL) * 40, 200),
        (
            f"{PATH}:batch",
            JSON,
            b'{"entries":[' + b",".join(b'{"id":"%d",' % i + avro(SMALL)[1:] for i in range(40)) + b"]}",
            207,
        ),
        (
            "/topics/free",
            "application/vnd.kafka.avro.v2+json",
            b'{"value_schema":' + INTS + b',"records":[{"value":' + DATA + b"}]}",
            200,
        ),
        ("/topics/free", "application/vnd.kafka.json.v2+json", b"[" * 4_000_000 + b"]" * 4_000_000, 422),
    ],
    ids=["one", "some", "batch", "v2", "deep"],
)
def test_others_are_answered_meanwhile(served: Served, path: str, media_type: str, body: bytes, status: int) -> None:
    found: list[httpx.Response] = []

    def send() -> None:
        found.append(served.client.post(path, content=body, headers={"Content-Type": media_type}))

    thread = threading.Thread(target=send)
    worst = 0.0
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=20) as other:
        other.get("/health/live")
        started = time.monotonic()
        thread.start()
        while thread.is_alive():
            asked = time.monotonic()
            assert other.get("/health/live").status_code == 200
            worst = max(worst, time.monotonic() - asked)
            thread.join(0.01)
    assert found[0].status_code == status
    assert worst < max(1, (time.monotonic() - started) / 2)


def test_a_keyed_body_of_millions_of_records_is_refused_soon(served: Served) -> None:
    headers = {"Content-Type": JSON, "Idempotency-Key": "k"}
    started = time.monotonic()
    answer = served.client.post(PATH, content=b"{}" * 4_900_000, headers=headers)
    assert (answer.status_code, "more than 10000 records" in answer.json()["message"]) == (413, True)
    assert time.monotonic() - started < 1
