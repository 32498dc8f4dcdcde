"""Kafka-REST v3 beside records: every case of the table over HTTP, and what a cluster in trouble makes of the answers."""

import re
from collections.abc import Iterator

import httpx
import pytest
from jsonschema import Draft202012Validator

from connectors.cluster import Ground, Group, Member, Refusal
from connectors.http.request import Fault, Router
from schemas.log import TopicPartition
from tests.connectors.ingress.fake_cluster import BROKER, CLUSTER, SECRET
from tests.connectors.ingress.served import PARTITIONS, Served, options, serving
from tests.connectors.ingress.v3_cases import OTHERS, OWNER, Case, Place, cases

TABLE = cases()
FREE, HIDDEN = TopicPartition("free", 0), TopicPartition("hidden", 0)
C = f"/v3/clusters/{CLUSTER}"
SHOWN = (
    *("/v3/clusters", C, f"{C}/brokers", f"{C}/brokers/1", f"{C}/topics", f"{C}/topics/free", f"{C}/topics/-/configs"),
    *(f"{C}/topics/free/configs", f"{C}/topics/free/configs/retention.ms", f"{C}/topics/free/partitions"),
    *(f"{C}/topics/free/partitions/0", f"{C}/topics/free/partitions/0/replicas/1", f"{C}/consumer-groups"),
    *(f"{C}/consumer-groups/readers/{what}" for what in ("consumers", "lags", "lag-summary", "lags/free/partitions/0")),
)
CHANGED = (
    ("POST", f"{C}/topics", {"topic_name": "made-x"}),
    ("DELETE", f"{C}/topics/made-there", None),
    ("PATCH", f"{C}/topics/made-there", {"partitions_count": 3}),
    ("PUT", f"{C}/topics/made-there/configs/retention.ms", {"value": "60000"}),
    ("DELETE", f"{C}/topics/made-there/configs/retention.ms", None),
    ("POST", f"{C}/topics/made-there/configs:alter", {"data": [{"name": "retention.ms", "value": "1"}]}),
)


def furnish(served: Served) -> Served:
    """The groups that the table tells of."""
    log, groups = served.cluster.log, served.cluster.groups
    served.cluster.topic_sizes["made-there"] = 2
    for partition, count in ((0, 5), (1, 2)):
        for _ in range(count):
            log.append(TopicPartition("free", partition), None, b"x")
    offsets = {
        "readers": {FREE: 3, TopicPartition("free", 1): 0},
        "lost": {HIDDEN: 0},
        "mixed": {FREE: 1, HIDDEN: 0},
        "fleet/wächter 1": {FREE: 5},
        "live": {FREE: 4},
    }
    groups.offsets.update(offsets)
    groups.groups.update({name: Group(name, True, "", "EMPTY", BROKER, ()) for name in offsets})
    assigned = tuple(TopicPartition("free", partition) for partition in range(PARTITIONS))
    groups.groups["live"] = Group("live", False, "range", "STABLE", BROKER, (Member("eye-1/ü", "only", "eye", assigned),))
    return served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("ingress")), owner=OWNER, others=OTHERS) as running:
        yield furnish(running)


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("ingress")), owner=OWNER, others=OTHERS) as running:
        yield furnish(running)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_a_case(shared: Served, case: Case) -> None:
    place = Place(f"http://127.0.0.1:{shared.port}", "http://127.0.0.1:0", CLUSTER)
    case.check(case.run(shared.client, place), place)


def test_the_table_is_whole(shared: Served) -> None:
    assert len({case.name for case in TABLE}) == len(TABLE) > 120
    router = Router(shared.ingress.routes)
    place = Place("", "", CLUSTER)
    steps = [case.request.split(" ") for case in TABLE if case.status < 300]
    steps += [list(step[:2]) for case in TABLE for step in (*case.before, *case.after)]
    done = {router.find(method, place.path(path).encode())[0].describe["operationId"] for method, path in steps}
    records = {"v3_produce"}  # cases of their own
    ours = {str(route.describe["operationId"]) for route in shared.ingress.routes if route.path.startswith("/v3")}
    followed = {"v3_consumer", "v3_assignments", "v3_assignment"}  # their names are the cluster's: the next test
    assert {one for one in ours if "record" not in one and one not in records} == done | followed


def test_every_route_needs_a_key(shared: Served) -> None:
    for route in shared.ingress.routes:
        if route.path.startswith("/v3/"):
            path = re.sub(r"\{\w+\}", "1", route.path)
            answer = shared.client.request(route.method, path, headers={"X-API-Key": "wrong"})
            assert (answer.status_code, answer.json()["error_code"]) == (401, 40101)


def test_the_way_from_a_group_to_its_lag(shared: Served) -> None:
    """Every link is followed; a consumer's id may hold anything."""

    def follow(document: dict[str, object], *names: str) -> dict[str, object]:
        found: object = document
        for name in names:
            found = found[name]  # type: ignore[index]
        answer = shared.client.get(str(found))
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    group = shared.client.get(f"{C}/consumer-groups/live").json()
    (consumer,) = follow(group, "consumers", "related")["data"]
    assert follow(consumer, "metadata", "self") == consumer
    assignments = follow(consumer, "assignments", "related")["data"]
    assert [one["partition_id"] for one in assignments] == list(range(PARTITIONS))
    assert follow(assignments[0], "metadata", "self") == assignments[0]
    assert follow(assignments[0], "partition", "related")["partition_id"] == 0
    assert follow(assignments[0], "lag", "related")["lag"] == 1
    summary = follow(group, "lag_summary", "related")
    assert follow(summary, "max_lag_consumer", "related") == consumer
    assert follow(summary, "max_lag_partition", "related")["topic_name"] == "free"
    assert follow(group, "coordinator", "related")["broker_id"] == BROKER


def test_every_answer_is_as_documented(shared: Served) -> None:
    document = shared.client.get("/openapi.json").json()
    paths, place = document["paths"], Place(f"http://127.0.0.1:{shared.port}", "", CLUSTER)
    router = Router(shared.ingress.routes)
    found = 0
    for case in TABLE:
        method, path = case.request.split(" ")
        try:
            route, _ = router.find(method, place.path(path).encode())
        except Fault:  # no such path or method: no document knows it
            continue
        told = paths[route.path][method.lower()]["responses"][str(case.status)]
        answer = case.run(shared.client, place)
        if case.status != 204:
            schema = {**told["content"]["application/json"]["schema"], "components": document["components"]}
            Draft202012Validator(schema).validate(answer.json())
        found += 1
    assert found > 110


def check_away(answer: httpx.Response, reason: str) -> None:
    assert (answer.status_code, answer.json()["error_code"]) == (503, 50003)
    assert answer.headers["retry-after"] == "2"
    assert reason in answer.json()["message"]


@pytest.mark.parametrize("path", SHOWN)
def test_a_broker_that_is_away_is_told(shared: Served, path: str) -> None:
    try:
        shared.cluster.away = "timed out"
        check_away(shared.client.get(path), "timed out")
        asked: list[str] = []
        shared.producer.away, shared.cluster.before_answer = "no broker", lambda: asked.append(path)
        check_away(shared.client.get(path), "no broker")
        assert asked == []
    finally:
        shared.cluster.away = shared.producer.away = ""
        shared.cluster.before_answer = lambda: None


@pytest.mark.parametrize(("method", "path", "body"), CHANGED)
def test_changes_while_the_broker_is_away_or_forbids_them(shared: Served, method: str, path: str, body: object) -> None:
    assert shared.client.get(C).status_code == 200
    try:
        shared.cluster.away = "timed out"
        check_away(shared.client.request(method, path, json=body), "timed out")
        shared.cluster.away, shared.cluster.refusal = "", Refusal(Ground.FORBIDDEN, "Topic authorization failed")
        answer = shared.client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (403, 40301)
        assert "Topic authorization failed" in answer.json()["message"]
    finally:
        shared.cluster.away, shared.cluster.refusal = "", None


@pytest.mark.parametrize(
    "path", [*SHOWN, "/topics/free", "/topics/free/partitions", "/topics/free/partitions/0/offsets", "/brokers"]
)
def test_what_the_cluster_forbids_the_ingress_is_told_as_such(shared: Served, path: str) -> None:
    shared.cluster.refusal = Refusal(Ground.FORBIDDEN, "Topic authorization failed")
    try:
        answer = shared.client.get(path)
    finally:
        shared.cluster.refusal = None
    assert (answer.status_code, answer.json()["error_code"]) == (403, 40301)
    assert "Topic authorization failed" in answer.json()["message"]


def test_the_producer_is_told_of_each_change(served: Served) -> None:
    for number, (method, path, body) in enumerate((CHANGED[0], CHANGED[2], CHANGED[1]), 1):
        assert served.client.request(method, path, json=body).is_success
        assert served.producer.reread_times == number


def test_a_partition_without_a_leader(served: Served) -> None:
    served.cluster.leaderless.add(TopicPartition("free", 4))
    told = served.client.get(f"{C}/topics/free/partitions/4").json()
    assert told["leader"] is None
    (first, second) = served.client.get(f"{C}/topics/free/partitions/4/replicas").json()["data"]
    assert (first["is_leader"], first["is_in_sync"], second["broker_id"]) == (False, False, 2)


def test_a_secret_is_never_shown(shared: Served) -> None:
    told = shared.client.get(f"{C}/topics/free/configs/{SECRET}").json()
    assert (told["value"], told["is_sensitive"], told["synonyms"]) == (None, True, [])


def test_who_takes_no_json_is_told(shared: Served) -> None:
    for accept in ("text/html", "application/json;q=0", "application/vnd.kafka.v2+json"):
        answer = shared.client.get(C, headers={"Accept": accept})
        assert (answer.status_code, answer.json()["error_code"]) == (406, 406)
    for accept in ("*/*", "text/html, application/*;q=0.1", "application/json", ""):
        assert shared.client.get(C, headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"topic_name": "made-\\u0000"}',
        b'{"topic_name": "made-x", "configs": [{"name": "retention.ms", "value": "1\\u0000"}]}',
        b"[" * 1000 + b"]" * 1000,
        b'{"topic_name": "\xff"}',
        b'{"topic_name": "made-\\ud800"}',
        b"null",
        b"",
    ],
)
def test_bad_bodies_change_nothing(shared: Served, body: bytes) -> None:
    before = dict(shared.cluster.topic_sizes)
    answer = shared.post(f"{C}/topics", body)
    assert answer.status_code == 400
    assert answer.json()["error_code"] in (400, 40002)
    assert shared.cluster.topic_sizes == before


def test_numbers_and_truth_values_are_settings_too(served: Served) -> None:
    path = f"{C}/topics/made-there/configs/retention.ms"
    assert served.client.put(path, json={"value": 61000}).status_code == 204
    assert served.client.get(path).json()["value"] == "61000"


def test_links_hold_no_line_of_the_hosts(shared: Served) -> None:
    """What the parser of heads lets through of a Host header is still no link."""
    for host in ("a\tb", "a,b", "[::1", "", "a:b:c", "a" * 300):
        told = shared.client.get(C, headers={"Host": host}).json()
        assert told["metadata"]["self"] == f"http://127.0.0.1:0{C}", host
    told = shared.client.get(C, headers={"Host": "[::1]:8082"}).json()
    assert told["metadata"]["self"].startswith("http://[::1]:8082/v3/")
