"""Reading by position: every case of the table over HTTP, on a log in memory."""

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.http.request import Fault, Router
from connectors.ingress.access import Rights
from connectors.memory import MemoryLog
from schemas.log import TopicPartition
from tests.connectors.ingress.log_cases import Case, cases
from tests.connectors.ingress.log_world import KEPT_FROM, OPEN, PARTITIONS, TOPICS, Seed, fill
from tests.connectors.ingress.served import CONTRACT, Served, options, serving
from tests.connectors.ingress.served import PARTITIONS as FLEET_PARTITIONS

TABLE = cases()
ROUTES = {"/v1/log", "/v1/log/{topic}", "/v1/log/{topic}/{partition}"}


def new_log() -> MemoryLog:
    return MemoryLog(dict.fromkeys([*CONTRACT.topics, "free"], FLEET_PARTITIONS) | dict.fromkeys(TOPICS, PARTITIONS))


def fill_memory(served: Served) -> None:
    log = served.producer.log

    def write(topic: str, timestamp: int, seed: Seed) -> None:
        source = TopicPartition(topic, 0)
        offset = log.append(source, seed.key, seed.value)
        served.pages.mark(source, offset, timestamp, headers=seed.headers)

    def register(subject: str, schema: dict[str, Any]) -> int:
        return served.registry.register(subject, schema)

    served.producer.topics = served.cluster.topic_sizes = dict.fromkeys(TOPICS, PARTITIONS) | {"__consumer_offsets": 1}
    fill(write, register)
    log.truncate(TopicPartition("trimmed", 0), KEPT_FROM)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    rights = Rights(read=OPEN, devices=False)
    with serving(options(tmp_path_factory.mktemp("ingress")), new_log(), owner=rights) as running:
        fill_memory(running)
        yield running


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_a_case(shared: Served, case: Case) -> None:
    case.check(case.send(shared.client))


@pytest.mark.parametrize("case", [case for case in TABLE if case.status == 200], ids=lambda case: case.name)
def test_the_same_request_again_is_the_same_answer(shared: Served, case: Case) -> None:
    first, again = case.send(shared.client), case.send(shared.client)
    assert (first.content, first.headers.get("etag")) == (again.content, again.headers.get("etag"))
    if "etag" in first.headers:
        known = case.send(shared.client, **{"If-None-Match": first.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        assert "content-length" not in known.headers
        assert known.headers["link"] == first.headers["link"]


def test_the_table_is_whole() -> None:
    assert len({case.name for case in TABLE}) == len(TABLE) >= 60
    assert {case.status for case in TABLE} == {200, 400, 401, 403, 404, 405, 406, 410, 416}


def test_every_answer_is_documented(shared: Served) -> None:
    paths = shared.client.get("/openapi.json").json()["paths"]
    assert {path for path in paths if path.startswith("/v1/log")} == ROUTES
    router = Router(shared.ingress.routes)
    found = 0
    for case in TABLE:
        method, path = case.request.split(" ")
        if method == "HEAD":
            continue
        try:
            route, _ = router.find(method, path.partition("?")[0].encode())
        except Fault:  # no such path or method: no document knows it
            continue
        content = paths[route.path]["get"]["responses"][str(case.status)]["content"]
        assert (case.media if case.code is None else "application/problem+json") in content, case.name
        found += 1
    assert found > 50
