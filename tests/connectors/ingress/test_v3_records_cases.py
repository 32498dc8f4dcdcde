"""Kafka-REST v3, writing records: every case of the table over HTTP."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from connectors.http.request import Fault, Router
from connectors.ingress.access import Rights
from tests.connectors.ingress.fake_cluster import CLUSTER
from tests.connectors.ingress.served import Served, options, serving
from tests.connectors.ingress.v3_records_cases import OPEN, Case, Seen, cases, names_of

TABLE = cases()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("ingress")), owner=Rights(write=OPEN)) as running:
        yield running


@pytest.fixture(scope="module")
def names(shared: Served) -> dict[str, str]:
    return names_of(shared.registry.register)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_a_case(shared: Served, names: dict[str, str], case: Case) -> None:
    before = len(shared.producer.sent)

    def read(topic: str, results: Sequence[Mapping[str, Any]]) -> list[Seen]:
        sent = shared.producer.sent[before:]
        assert len(sent) == len(results)
        return [Seen(one.key, one.value, list(one.headers), one.partition, one.timestamp) for one in sent]

    case.check(case.send(shared.client, CLUSTER, names), read, names)
    if case.code is not None:
        assert len(shared.producer.sent) == before, "nothing of it was written"
    assert shared.ingress.bodies.buffered == 0


def test_the_table_is_whole() -> None:
    assert len({case.name for case in TABLE}) == len(TABLE) > 120
    assert sum(case.status in (200, 207) for case in TABLE) >= 50


def test_every_answer_is_documented(shared: Served) -> None:
    paths = shared.client.get("/openapi.json").json()["paths"]
    router = Router(shared.ingress.routes)
    found = 0
    for case in TABLE:
        method, path = (case.request or f"POST /v3/clusters/c/topics/{case.to}").split(" ")
        try:
            route, _ = router.find(method, path.encode())
        except Fault:  # no such method: no document knows it
            continue
        assert "application/json" in paths[route.path]["post"]["responses"][str(case.status)]["content"], case.name
        found += 1
    assert found > 120
