"""Reading by position: what a table of cases can't say. The registry, access, any walk."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.ingress.access import Rights
from schemas.wire import prefix
from tests.connectors.ingress.log_cases import next_of, records_of
from tests.connectors.ingress.log_serving import FREE, PATH, code_of, put
from tests.connectors.ingress.log_world import reading_schema, readings
from tests.connectors.ingress.served import Served, key_of, options, principal, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    others = [principal("viewer", read=("fleet.dead-letters",), devices=False), principal("device")]
    with serving(options(tmp_path), owner=Rights(read=("*",)), others=others) as running:
        yield running


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
    put(served, b"1")
    if policy is None:
        served.cluster.away = "no answer"
    else:
        served.cluster.set_values["free"] = {"cleanup.policy": policy}
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
