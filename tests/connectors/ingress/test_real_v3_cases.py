"""Kafka-REST v3 beside records on the real broker: every case of the table, exact lags, a broker that stops and dies."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.ingress.access import Rights
from infra import principals
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack
from tests.connectors.ingress.curl import curls
from tests.connectors.ingress.real_topics import make_topics
from tests.connectors.ingress.v3_cases import OWNER, Case, Place, cases, principals_toml
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
DOCUMENT = Path(__file__).parents[3] / "docs/kafka-rest-v3.md"
PARTITIONS = 6
RECORDS = {0: 5, 1: 2}
COMMITTED = {
    "readers": [TopicPartition("free", 0, 3), TopicPartition("free", 1, 0)],
    "lost": [TopicPartition("hidden", 0, 0)],
    "mixed": [TopicPartition("free", 0, 1), TopicPartition("hidden", 0, 0)],
    "fleet/wächter 1": [TopicPartition("free", 0, 5)],
}


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("v3")
    (directory / "principals.toml").write_text(principals_toml())
    settings = Settings(
        rest_topics=",".join([*OWNER.write, "weather-days"]), rest_manage=",".join([*OWNER.manage, "weather-days"])
    )
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with shared_stack.lend(directory, only=services, settings=settings) as running, ExitStack() as members:
        broker = running.settings.kafka
        make_topics(running, dict.fromkeys(("free", "hidden"), PARTITIONS))
        furnish(broker)
        live = member(broker)
        members.callback(live.close)
        yield running


def furnish(broker: str) -> None:
    """The records and the offsets that the table tells of."""
    producer = Producer({"bootstrap.servers": broker})
    for partition, count in RECORDS.items():
        for _ in range(count):
            producer.produce("free", b"x", partition=partition)
    assert producer.flush(20) == 0
    for group, offsets in COMMITTED.items():
        consumer = Consumer({"bootstrap.servers": broker, "group.id": group})
        consumer.commit(offsets=offsets, asynchronous=False)
        consumer.close()


def member(broker: str) -> Consumer:
    """The one member of the group "live", with all partitions and an offset."""
    named = {"group.id": "live", "group.instance.id": "only", "client.id": "eye", "partition.assignment.strategy": "range"}
    consumer = Consumer({"bootstrap.servers": broker, "enable.auto.commit": False, "session.timeout.ms": 60_000, **named})
    consumer.subscribe(["free"])
    until = time.monotonic() + 30
    while len(consumer.assignment()) < PARTITIONS:
        assert time.monotonic() < until
        consumer.poll(0.1)
    consumer.commit(offsets=[TopicPartition("free", 0, 4)], asynchronous=False)
    return consumer


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.settings.ingress, headers={"X-API-Key": api_key(stack.settings)}, timeout=30) as made:
        yield made


@pytest.fixture
def place(stack: Stack, client: httpx.Client) -> Place:
    own = stack.settings.ingress
    return Place(own, own, client.get("/v3/clusters").json()["data"][0]["cluster_id"])


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case(client: httpx.Client, place: Place, case: Case) -> None:
    case.check(case.run(client, place), place)


def test_lags_follow_what_is_written_and_committed(stack: Stack, client: httpx.Client, place: Place) -> None:
    """The sum, the longest and each lag are those that the offsets say, record by record."""
    group, topic, broker = "counted", "made-rw-lag", stack.settings.kafka
    path = place.path(f"c/consumer-groups/{group}")
    assert client.post(place.path("c/topics"), json={"topic_name": topic, "partitions_count": 3}).status_code == 201
    producer, consumer = Producer({"bootstrap.servers": broker}), Consumer({"bootstrap.servers": broker, "group.id": group})
    for written, read in (([7, 0, 3], [2, 0, 3]), ([1, 4, 0], [7, 1, 3])):
        before = client.get(f"{path}/lags").json().get("data", [])
        for partition, count in enumerate(written):
            for _ in range(count):
                producer.produce(topic, b"x", partition=partition)
        assert producer.flush(20) == 0
        starts = [one["log_end_offset"] for one in before] or [0] * 3
        ends = [start + count for start, count in zip(starts, written, strict=True)]
        consumer.commit(offsets=[TopicPartition(topic, *one) for one in enumerate(read)], asynchronous=False)
        lags = client.get(f"{path}/lags").json()["data"]
        assert [(one["current_offset"], one["log_end_offset"]) for one in lags] == list(zip(read, ends, strict=True))
        expected = [end - offset for end, offset in zip(ends, read, strict=True)]
        assert [one["lag"] for one in lags] == expected
        summary = client.get(f"{path}/lag-summary").json()
        assert (summary["total_lag"], summary["max_lag"]) == (sum(expected), max(expected))
        assert summary["max_lag_partition_id"] == expected.index(max(expected))
    consumer.close()
    assert client.delete(place.path(f"c/topics/{topic}")).status_code == 204
    assert client.get(f"{path}/lags").status_code in (200, 404)  # Kafka forgets the offsets of a deleted topic in its time


def test_a_new_topic_takes_records_at_once_and_a_deleted_one_none(client: httpx.Client, place: Place) -> None:
    headers = {"Content-Type": "application/vnd.kafka.json.v2+json"}
    for number in range(3):
        topic, body = f"made-rw-{number}", {"records": [{"value": 1}]}
        assert client.post(f"/topics/{topic}", json=body, headers=headers).status_code == 404
        made = client.post(place.path("c/topics"), json={"topic_name": topic, "partitions_count": 2})
        assert made.status_code == 201
        assert client.post(f"/topics/{topic}", json=body, headers=headers).status_code == 200
        assert client.post(f"/topics/{topic}/partitions/2", json=body, headers=headers).status_code == 404
        assert client.patch(place.path(f"c/topics/{topic}"), json={"partitions_count": 3}).status_code == 200
        assert client.post(f"/topics/{topic}/partitions/2", json=body, headers=headers).status_code == 200
        assert client.delete(place.path(f"c/topics/{topic}")).status_code == 204
        assert client.post(f"/topics/{topic}", json=body, headers=headers).status_code == 404


def test_the_examples_of_the_documentation_run(stack: Stack, client: httpx.Client, place: Place) -> None:
    """Sends what the curl commands of docs/kafka-rest-v3.md send."""
    broker = stack.settings.kafka
    examples = list(curls(DOCUMENT, {"URL": place.base, "KEY": api_key(stack.settings), "C": place.base + place.path("c")}))
    committed = False
    for example in examples:
        if "consumer-groups" in example.url and not committed:
            consumer = Consumer({"bootstrap.servers": broker, "group.id": "stations/oslo"})
            consumer.commit(offsets=[TopicPartition("weather-days", 0, 0)], asynchronous=False)
            consumer.close()
            committed = True
        answer = example.send(client)
        assert answer.is_success, (example, answer.text)
    assert len(examples) == 20
    assert {example.method for example in examples} == {"GET", "POST", "PATCH", "PUT", "DELETE"}


def test_a_new_principal_s_key_counts_soon_and_not_when_it_was_taken_out(stack: Stack, client: httpx.Client) -> None:
    file = stack.settings.principals_file
    key = principals.add(file, "station", Rights(write=("free",), devices=False))

    def names() -> object:
        return client.get("/topics", headers={"X-API-Key": key}).json()

    def wait(told: Callable[[object], bool]) -> None:
        until = time.monotonic() + 5
        while not told(names()):
            assert time.monotonic() < until
            time.sleep(0.1)

    wait(lambda found: found == ["free"])
    principals.remove(file, "station")
    wait(lambda found: isinstance(found, dict) and found["error_code"] == 40101)


def test_questions_never_make_a_topic(stack: Stack, client: httpx.Client, place: Place) -> None:
    for below in ("", "/configs", "/partitions", "/partitions/0", "/partitions/0/replicas", "/configs/retention.ms"):
        assert client.get(place.path(f"c/topics/made-never{below}")).json()["error_code"] == 40403
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
    assert "made-never" not in admin.list_topics(timeout=20).topics


def test_a_broker_that_stops_or_dies_ends_nothing_but_its_answers(stack: Stack, client: httpx.Client, place: Place) -> None:
    """librdkafka's admin client ends its process when a broker dies while groups are described."""
    paths = ("c/topics", "c/topics/free", "c/topics/free/configs", "c/consumer-groups", "c/consumer-groups/live/lags", "c")
    asked = [("GET", place.path(path), None) for path in paths]
    asked.append(("POST", place.path("c/topics"), {"topic_name": "made-meanwhile", "validate_only": True}))

    def ask(one: tuple[str, str, object]) -> int:
        return client.request(one[0], one[1], json=one[2]).status_code

    def until_well() -> None:
        until = time.monotonic() + 180
        while set(map(ask, asked)) != {200}:
            assert time.monotonic() < until
            time.sleep(0.2)

    ingress = stack.pid("ingress")
    until_well()
    with ThreadPoolExecutor(42) as pool:
        before = [pool.submit(ask, one) for one in asked * 3]
        stack.kill("broker", signal.SIGSTOP)
        started = time.monotonic()
        try:
            statuses = list(pool.map(ask, asked * 3))
        finally:
            stack.kill("broker", signal.SIGCONT)
        assert {one.result() for one in before} <= {200, 503}
        assert set(statuses) == {503}
        assert time.monotonic() - started < 30
        until_well()
        under_way = [pool.submit(ask, one) for one in asked * 3]
        stack.kill("broker")
        assert {one.result() for one in under_way} <= {200, 503}
    stack.wait_healthy("broker", 180)
    until_well()
    assert (stack.pid("ingress"), stack.restarts("ingress")) == (ingress, 0)
