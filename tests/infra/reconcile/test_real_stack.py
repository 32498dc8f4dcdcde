"""`fleetlog simulate` and `fleetlog reconcile` as an operator runs them, on the real stores, with faults; and what was done
to a view behind the carrier's back is found."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from clickhouse_driver import Client

from infra.settings import Settings, child_environment
from infra.stack.harness import Stack, running_stack
from infra.stack.ports import free_ports

pytestmark = pytest.mark.stack
FAULTS = "duplicates=0.1,late=0.05,reorder=0.05,drop=0.05,reset=0.03,corrupt=0.03,reboot=0.02,skew=0.2"

Simulated = tuple[Stack, Mapping[str, Any]]


def fleetlog(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "infra.cli.main", *arguments],
        env=child_environment(settings.environment()),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """A stack on which a fleet with faults has run, and the run's summary."""
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        options = ("--for", "6s", "--devices", "30", "--rate", "400", "--batch", "2", "--heartbeat", "1s", "--seed", "11")
        run = fleetlog(stack.settings, "simulate", *options, "--faults", FAULTS, "--json")
        assert run.returncode == 0, run.stdout + run.stderr
        yield stack, json.loads(run.stdout)


def reconciled(stack: Stack) -> tuple[int, Any, str]:
    result = fleetlog(stack.settings, "reconcile", "--json", "--wait", "60s")
    assert "Traceback" not in result.stderr
    return result.returncode, json.loads(result.stdout), result.stderr


def test_every_upload_is_acknowledged_and_all_agrees(simulated: Simulated) -> None:
    stack, run = simulated
    assert run["acknowledged"] == run["sent"] > 100  # what the machine had time for
    assert (run["unacknowledged"], run["refused"], run["registered"]) == (0, 0, 30)
    assert run["errors"] == {}
    assert set(run["injected"]) == {part.partition("=")[0] for part in FAULTS.split(",")} - {"skew"}
    assert run["retries"] >= run["injected"]["drop"] + run["injected"]["reset"]
    code, report, _ = reconciled(stack)
    assert (code, report["exact"]) == (0, True)
    assert report["sent"] == report["acknowledged"] == report["logged"] == run["sent"]
    views = report["views"]
    assert views["device_state"]["present"] == run["sent"]
    assert (
        views["telemetry"]["present"] + views["heartbeats"]["present"] + views["device_events"]["present"] + 30
        == run["sent"]
    )
    assert all(view["lost"] == view["duplicated"] == 0 for view in views.values())


def ask(stack: Stack, sql: str) -> Any:
    settings = stack.settings
    client = Client(settings.clickhouse, settings.clickhouse_port, database=settings.clickhouse_database)
    try:
        return client.execute(sql, settings={"mutations_sync": 2})
    finally:
        client.disconnect()


@contextmanager
def spoiled_rows(stack: Stack, view: str) -> Iterator[str]:
    """The name of a view's table, whose rows are put back in the end."""
    table = f"{view}_v1"
    ask(stack, f"CREATE TABLE kept AS {table}")
    ask(stack, f"INSERT INTO kept SELECT * FROM {table}")
    try:
        yield table
    finally:
        ask(stack, f"TRUNCATE TABLE {table}")
        ask(stack, f"INSERT INTO {table} SELECT * FROM kept")
        ask(stack, "DROP TABLE kept SYNC")


def found(stack: Stack, view: str) -> tuple[int, int, list[str]]:
    """Lost and duplicated in the one view that is not exact, and the offenders' names."""
    code, report, _ = reconciled(stack)
    assert (code, report["exact"]) == (1, False)
    spoiled = {name: told for name, told in report["views"].items() if told["lost"] or told["duplicated"]}
    assert list(spoiled) == [view]
    return spoiled[view]["lost"], spoiled[view]["duplicated"], report["offenders"]


def test_a_row_that_is_gone_is_found(simulated: Simulated) -> None:
    stack, _ = simulated
    place, where = any_record(stack, "telemetry")
    with spoiled_rows(stack, "telemetry") as table:
        ask(stack, f"ALTER TABLE {table} DELETE WHERE {where}")
        lost, duplicated, offenders = found(stack, "telemetry")
    assert (lost, duplicated) == (1, 0)
    assert f"{place}: 0 rows" in offenders[0]
    assert reconciled(stack)[0] == 0


@pytest.mark.parametrize("view", ["telemetry", "device_events"])
def test_a_row_that_readers_see_twice_is_found(simulated: Simulated, view: str) -> None:
    stack, _ = simulated
    place, where = any_record(stack, view)
    with spoiled_rows(stack, view) as table:
        # Another place in the order, so that FINAL does not take it for the same row.
        columns = "* REPLACE (concat(device_id, '-other') AS device_id)"
        ask(stack, f"INSERT INTO {table} SELECT {columns} FROM kept WHERE {where} LIMIT 1")
        lost, duplicated, offenders = found(stack, view)
    assert (lost, duplicated) == (0, 1)
    assert place in offenders[0]


def any_record(stack: Stack, view: str) -> tuple[str, str]:
    """A record's place as findings name it, and as a condition."""
    (topic, partition, offset), *_ = ask(stack, f"SELECT topic, partition, offset FROM {view} ORDER BY rand() LIMIT 1")
    where = f"topic = '{topic}' AND partition = {partition} AND offset = {offset}"
    return f"{topic}/{partition} offset {offset}", where


def test_a_row_of_no_record_is_found(simulated: Simulated) -> None:
    stack, _ = simulated
    with spoiled_rows(stack, "heartbeats") as table:
        ask(stack, f"INSERT INTO {table} SELECT * REPLACE (offset + 1000000 AS offset) FROM kept LIMIT 1")
        assert found(stack, "heartbeats")[:2] == (0, 1)


def test_a_row_that_was_written_twice_is_one_row(simulated: Simulated) -> None:
    """Two owners of a partition may write the same rows; readers see them once."""
    stack, _ = simulated
    with spoiled_rows(stack, "telemetry") as table:
        seen = ask(stack, "SELECT count() FROM telemetry")
        ask(stack, f"INSERT INTO {table} SELECT * FROM kept LIMIT 100")
        assert ask(stack, "SELECT count() FROM telemetry") == seen
        assert reconciled(stack)[0] == 0


@pytest.fixture
def documents(simulated: Simulated) -> Iterator[Any]:
    """The Redis of the stack; a document that a test spoils is put back."""
    client = redis.Redis.from_url(simulated[0].settings.redis, decode_responses=True)
    binary = redis.Redis.from_url(simulated[0].settings.redis)  # hashes of documents are no text
    kept = {key: binary.dump(key) for key in binary.keys("device_state:v1:*")}
    yield client
    for key, data in kept.items():
        binary.restore(key, 0, data, replace=True)
    binary.close()
    client.close()
    assert reconciled(simulated[0])[0] == 0


def test_a_device_that_is_gone_from_redis_is_found(simulated: Simulated, documents: Any) -> None:
    key = min(documents.keys("device_state:v1:doc:*"))
    records = sum(
        int(n) for name, n in documents.hgetall(key).items() if name.startswith("count.") and name != "count.readings"
    )
    documents.delete(key)
    lost, duplicated, offenders = found(simulated[0], "device_state")
    assert (lost, duplicated) == (records, 0)
    assert offenders[0].startswith(f"device_state: {key.rpartition(':')[2]}: ")


def test_a_record_that_redis_counts_twice_is_found(simulated: Simulated, documents: Any) -> None:
    documents.hincrby(min(documents.keys("device_state:v1:doc:*")), "count.telemetry", 1)
    assert found(simulated[0], "device_state")[:2] == (0, 1)


def test_a_view_whose_documents_and_positions_are_gone_is_found(simulated: Simulated, documents: Any) -> None:
    stack, run = simulated
    documents.delete(*documents.keys("device_state:v1:*"))
    result = fleetlog(stack.settings, "reconcile", "--json", "--wait", "0s")
    report = json.loads(result.stdout)
    assert (result.returncode, report["exact"]) == (1, False)
    assert report["views"]["device_state"] == {
        "present": 0, "lost": run["sent"], "duplicated": 0, "set_aside": 0, "behind": run["sent"], "changed": 0,
    }  # fmt: skip


def test_what_does_not_answer_is_said_without_a_traceback(simulated: Simulated, tmp_path: Path) -> None:
    settings = simulated[0].settings
    with free_ports(1) as (port,):
        cases = {
            "Redis": replace(settings, redis_port=port),
            "ClickHouse": replace(settings, clickhouse_port=port),
            "registry": replace(settings, registry_port=port),
            "Broker transport failure": replace(settings, kafka_port=port),
        }
        with ThreadPoolExecutor() as pool:
            results = pool.map(lambda changed: fleetlog(changed, "reconcile", "--wait", "0s"), cases.values())
        for what, result in zip(cases, results, strict=True):
            assert (result.returncode, "Traceback" in result.stderr) == (3, False), result.stderr
            assert what in result.stderr
        unheard = replace(settings, ingress_port=port)
        run = fleetlog(unheard, "simulate", "--for", "1s", "--drain", "1s", "--journal", str(tmp_path))
    assert (run.returncode, "does not answer: no answer to" in run.stderr) == (3, True)
    denied = fleetlog(
        replace(settings, api_key="another-key-than-its-own"), "simulate", "--for", "1s", "--journal", str(tmp_path)
    )
    assert (denied.returncode, "FLEETLOG_API_KEY" in denied.stderr) == (2, True)
    refused = fleetlog(replace(settings, clickhouse_password="wrong"), "reconcile", "--wait", "0s")
    assert (refused.returncode, "Authentication failed" in refused.stderr) == (3, True)


def test_without_a_journal_the_command_says_so(simulated: Simulated, tmp_path: Path) -> None:
    result = fleetlog(simulated[0].settings, "reconcile", "--journal", str(tmp_path / "none"))
    assert (result.returncode, result.stdout) == (2, "")
    assert f"there is no journal in {tmp_path / 'none'}" in result.stderr
