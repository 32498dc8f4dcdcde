"""Kafka-REST v2: every case of the table over HTTP, and what a cluster in trouble makes of the answers."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from connectors.cluster import Broker
from connectors.http.request import Fault, Router
from connectors.ingress.access import Rights
from schemas.log import TopicPartition
from tests.connectors.ingress.rest_v2_cases import OPEN, Case, Record, assert_like, cases
from tests.connectors.ingress.served import Served, options, serving

TABLE = cases()
SHOWN = ("/topics/free", "/topics/free/partitions", "/topics/free/partitions/0", "/topics/free/partitions/0/offsets")

ROUTES = {
    *("GET /topics", "GET /topics/T", "GET /topics/T/partitions", "GET /topics/T/partitions/P"),
    *("GET /topics/T/partitions/P/offsets", "GET /brokers", "POST /topics/T", "POST /topics/T/partitions/P"),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("ingress")), owner=Rights(write=OPEN)) as running:
        yield running


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_a_case(shared: Served, case: Case) -> None:
    def read(topic: str, partition: int, offset: int) -> Record:
        (batch,) = shared.producer.log.read(TopicPartition(topic, partition), offset, offset + 1)
        return batch.keys[0], batch.values[0]

    before = len(shared.producer.sent)
    case.check(case.send(shared.client), read)
    if case.code is not None:
        assert len(shared.producer.sent) == before, "nothing of it was written"


def test_the_table_is_whole() -> None:
    assert len({case.name for case in TABLE}) == len(TABLE) > 100
    done = [case for case in TABLE if case.status == 200]
    topic = re.compile(r"^(\w+ /topics)/[^/]+")
    assert {re.sub(r"/\d+", "/P", topic.sub(r"\1/T", case.request)) for case in done} == ROUTES
    formats = {(case.type, "partitions" in case.request) for case in done if case.written}
    assert formats >= {(form, where) for form in ("json", "binary", "avro") for where in (True, False)}


def test_every_answer_is_documented(shared: Served) -> None:
    paths = shared.client.get("/openapi.json").json()["paths"]
    router = Router(shared.ingress.routes)
    found = 0
    for case in TABLE:
        method, path = case.request.split(" ")
        try:
            route, _ = router.find(method, path.encode())
        except Fault:  # no such path or method: no document knows it
            continue
        content = paths[route.path][method.lower()]["responses"][str(case.status)]["content"]
        assert case.media in content, case.name
        found += 1
    assert found > 90


@pytest.mark.parametrize(
    ("told", "expected"),
    [({"a": 1, "b": 2}, {"a": 1}), ({"a": 1}, {"a": 1, "b": 2}), ([1], []), (True, "$int"), ("", "$text"), (1, 2)],
)
def test_what_differs_is_noticed(told: object, expected: object) -> None:
    with pytest.raises(AssertionError):
        assert_like(told, expected, "$")


def check_away(answer: httpx.Response, reason: str) -> None:
    assert answer.status_code == 503
    assert (answer.json()["error_code"], answer.headers["retry-after"]) == (50003, "2")
    assert reason in answer.json()["message"]


@pytest.mark.parametrize("path", [*SHOWN, "/topics", "/brokers"])
def test_a_broker_that_is_known_to_be_away_is_told_at_once(served: Served, path: str) -> None:
    asked: list[str] = []
    served.cluster.before_answer = lambda: asked.append(path)
    served.producer.away = "no broker"
    check_away(served.client.get(path), "no broker")
    assert asked == []


@pytest.mark.parametrize("path", [*SHOWN, "/brokers"])
def test_a_broker_that_does_not_answer_is_told(served: Served, path: str) -> None:
    served.cluster.away = "timed out"
    check_away(served.client.get(path), "timed out")


@pytest.mark.parametrize("path", SHOWN)
def test_a_topic_that_was_deleted_is_not_shown(served: Served, path: str) -> None:
    served.cluster.forgotten.add("free")
    answer = served.client.get(path)
    assert (answer.status_code, answer.json()["error_code"]) == (404, 40401)


def test_a_partition_without_a_leader(served: Served) -> None:
    served.cluster.leaderless.add(TopicPartition("free", 4))
    state = {"partition": 4, "leader": -1}
    replicas = [{"broker": broker, "leader": False, "in_sync": False} for broker in (1, 2)]
    assert served.client.get("/topics/free/partitions/4").json() == {**state, "replicas": replicas}
    check_away(served.client.get("/topics/free/partitions/4/offsets"), "no leader")


def test_offsets_are_those_of_what_is_kept(served: Served) -> None:
    source = TopicPartition("free", 2)
    for number in range(5):
        served.producer.log.append(source, None, b"%d" % number)
    served.producer.log.truncate(source, 3)
    assert served.client.get("/topics/free/partitions/2/offsets").json() == {"beginning_offset": 3, "end_offset": 5}


def test_a_setting_that_is_secret_is_null(served: Served) -> None:
    assert served.client.get("/topics/free").json()["configs"]["secret"] is None


def test_a_pattern_never_opens_an_internal_topic(served: Served) -> None:
    names = served.client.get("/topics").json()
    assert {"free", "hidden", "fleet.telemetry"} <= set(names)
    assert not {"_schemas", "kafkasql-journal", "registry-events", "fleet.dead-letters"} & set(names)


def test_a_head_request_is_answered_without_a_body(served: Served) -> None:
    answer = served.client.head("/topics/free/partitions")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_a_slow_cluster_keeps_nobody_else_waiting(served: Served) -> None:
    """Questions wait without the loop; uploads and health go on."""
    gate = threading.Event()

    async def slow() -> list[Broker]:
        while not gate.is_set():
            await asyncio.sleep(0.01)
        return [Broker(1, "here", 9092)]

    served.cluster.brokers = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(served.client.get, "/brokers") for _ in range(4)]
        time.sleep(0.1)
        assert served.client.get("/health/live").status_code == 200
        assert not any(one.done() for one in asked)
        gate.set()
        assert [one.result().json() for one in asked] == [{"brokers": [1]}] * 4
