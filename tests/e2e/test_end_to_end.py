"""The whole stack, as a user runs it: a fleet's readings over HTTP into the log and out into every view, and the proof."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from clickhouse_driver import Client
from confluent_kafka import Consumer, Producer

from connectors.registry import ConfluentRegistry
from infra.stack.harness import Stack, running_stack
from projections.catalogue import CATALOGUE, OF_UPLOADS
from schemas import contract
from schemas.codec import decode
from schemas.wire import PREFIX_BYTES, prefix

pytestmark = pytest.mark.stack
FLEETLOG = str(Path(sys.executable).parent / "fleetlog")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), workers=2) as running:
        yield running


def fleetlog(stack: Stack, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FLEETLOG, *arguments],
        env=stack.settings.environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def report(stack: Stack, *arguments: str) -> Any:
    result = fleetlog(stack, *arguments, "--json")
    assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
    return json.loads(result.stdout)


def clickhouse(stack: Stack, sql: str) -> Any:
    client = Client(stack.settings.clickhouse, stack.settings.clickhouse_port, database=stack.settings.clickhouse_database)
    try:
        return client.execute(sql)
    finally:
        client.disconnect()


def until(seconds: float, condition: Any) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.1)


def test_what_was_sent_is_acknowledged_logged_and_in_every_view_once(stack: Stack) -> None:
    faults = "duplicates=0.02,late=0.02,reorder=0.02,drop=0.01"
    run = fleetlog(stack, "simulate", "--for", "6s", "--devices", "30", "--seed", "7", "--faults", faults, "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    found = report(stack, "reconcile", "--wait", "60s")
    assert found["exact"] is True
    assert found["sent"] == found["acknowledged"] > 50  # what the machine had time for
    assert found["logged"] >= found["acknowledged"]
    assert set(found["views"]) == {view.name for view in CATALOGUE}
    for name, view in found["views"].items():
        assert view["lost"] == view["duplicated"] == 0
        assert view["present"] > 0 or name not in {one.name for one in OF_UPLOADS}


def test_every_view_is_what_the_log_implies(stack: Stack) -> None:
    found = report(stack, "projection", "verify", "--all")
    assert found["equal"] is True
    assert all(view["differing"] == [] for view in found["views"].values())
    assert all(found["views"][projection.name]["keys"] > 0 for projection in OF_UPLOADS)


def test_people_read_the_views_with_their_own_clients(stack: Stack) -> None:
    server = redis.Redis.from_url(stack.settings.redis, decode_responses=True)
    key = next(iter(server.scan_iter("device_state:v1:doc:*")))
    document = server.hgetall(key)
    assert int(document["count.telemetry"]) > 0
    metric = json.loads(next(text for name, text in document.items() if name.startswith("metric.")))
    assert isinstance(metric["value"], float)
    rows, devices = clickhouse(stack, "SELECT count(), uniq(device_id) FROM telemetry")[0]
    assert rows >= 100
    assert devices > 10
    assert clickhouse(stack, "SELECT count() FROM heartbeats WHERE memory_total > 0")[0][0] > 0


@pytest.mark.parametrize("view", ["telemetry", "device_state"])
def test_a_rebuild_takes_the_live_views_place_and_workers_follow(stack: Stack, view: str) -> None:
    before = next(one for one in report(stack, "projection", "status") if one["name"] == view)
    rebuilt = report(stack, "projection", "rebuild", view)
    assert rebuilt["version"] == before["live"] + 1
    assert rebuilt["records"] == before["folded"]
    run = fleetlog(stack, "simulate", "--for", "2s", "--devices", "5", "--seed", "8")
    assert run.returncode == 0, run.stdout + run.stderr
    assert report(stack, "reconcile", "--wait", "60s")["exact"] is True
    verified = report(stack, "projection", "verify", view)
    assert verified["equal"] is True


def test_a_changed_view_is_found_named_and_healed_by_a_rebuild(stack: Stack) -> None:
    server = redis.Redis.from_url(stack.settings.redis, decode_responses=True)
    version = server.get("device_state:live")
    key = next(iter(server.scan_iter(f"device_state:v{version}:doc:*")))
    server.hset(key, "count.telemetry", "1000000")
    result = fleetlog(stack, "projection", "verify", "device_state", "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout)["views"]["device_state"]["differing"] == [key.split(":doc:")[1]]
    report(stack, "projection", "rebuild", "device_state")
    until(60, lambda: fleetlog(stack, "projection", "verify", "device_state").returncode == 0)


def test_poison_is_set_aside_with_its_origin_and_the_views_go_on(stack: Stack) -> None:
    topic, good = "fleet.telemetry", contract.load().records["TelemetryReceived"]
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "enable.idempotence": True})
    registry = ConfluentRegistry(stack.settings.registry)
    number = registry.register("fleet.telemetry-value", good.schema)
    poison = {
        "garbage": b"\xde\xad\xbe\xef",
        "unknown-id": prefix(999_999) + b"x",
        "cut": prefix(number) + b"\x02",
        "none": None,
    }
    for key, value in poison.items():
        producer.produce(topic, value, key.encode(), partition=0)
    assert producer.flush(20) == 0
    letters = dead_letters(stack, registry, 2 * len(poison))
    assert {(letter["view"], bytes(letter["key"]).decode()) for letter in letters} == {
        (view, key) for view in ("device_state", "telemetry") for key in poison
    }
    assert all(letter["topic"] == topic and letter["partition"] == 0 and letter["detail"] for letter in letters)
    assert {bytes(letter["key"]).decode(): letter["value"] for letter in letters} == poison
    run = fleetlog(stack, "simulate", "--for", "2s", "--devices", "20", "--seed", "9")
    assert run.returncode == 0
    assert report(stack, "reconcile", "--wait", "60s")["exact"] is True
    assert report(stack, "projection", "verify", "--all")["equal"] is True


def dead_letters(stack: Stack, registry: ConfluentRegistry, count: int) -> list[dict[str, Any]]:
    """The first `count` letters of the topic."""
    record = contract.load().records["RecordDeadLettered"]
    consumer = Consumer(
        {"bootstrap.servers": stack.settings.kafka, "group.id": "test-letters", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["fleet.dead-letters"])
    found: list[dict[str, Any]] = []
    end = time.monotonic() + 60
    try:
        while len(found) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} letters"
            for message in consumer.consume(100, 0.5):
                value = message.value()
                if message.error() is None and value is not None:
                    found.append(decode(record.schema, value[PREFIX_BYTES:]))
    finally:
        consumer.close()
    return found


def test_every_process_answers_with_metrics(stack: Stack) -> None:
    ports = {
        "ingress": stack.settings.ingress_port,
        "worker-0": stack.settings.worker_metrics_port,
        "worker-1": stack.settings.worker_metrics_port + 1,
    }
    for name, port in ports.items():
        with urllib.request.urlopen(f"http://{stack.settings.host}:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        assert "# HELP" in text, name
    assert "fleetlog_lag_records" in text
    assert "fleetlog_fold_seconds_bucket" in text


def test_logs_are_json_with_the_agreed_fields(stack: Stack) -> None:
    for name in ("worker-0", "ingress", "broker"):
        lines = stack.log(name).read_text("utf-8").splitlines()
        assert lines
        for line in lines:
            assert {"timestamp", "level", "service", "component", "message"} <= json.loads(line).keys()
