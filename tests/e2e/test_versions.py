"""Versions on the real stores, with a worker at work: rebuilds are killed and go on, the pointer moves and moves back while
somebody reads all the time, parts are made anew, and what can't be is refused."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from clickhouse_driver import Client

from infra import compose, view_status, views
from infra.bench.memory import registered
from infra.bench.topic import Fleet, fill
from infra.cli.main import main
from infra.settings import Settings, child_environment
from infra.stack.harness import Stack
from projections.catalogue import find
from streams.versions import State, versions_of
from tests.e2e.watching import Watcher, load, reader_of
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
VIEWS = ("device_state", "telemetry")
ONLY = ("broker", "redis", "clickhouse", "registry", "topics", "schemas", "workers")
RECORDS, DEVICES = 12_000, 50
POINTS = 5  # of each view: where a rebuild is killed
SEED = 20_261


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # Small pieces, so that a rebuild has many points at which it can be killed.
    chosen = Settings(views=",".join(VIEWS), deciders="none", rebuild_records=250)
    with shared_stack.lend(tmp_path_factory.mktemp("versions"), only=ONLY, settings=chosen) as running:
        fill(running.settings.kafka, Fleet(RECORDS, DEVICES), registered(running), create=False)
        settle(running)
        yield running


@pytest.fixture
def command(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command of `fleetlog projection` in this process; gives its exit code, JSON (if any) and standard error."""
    for name, value in replace(stack.settings, rebuild_records=Settings().rebuild_records).environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[int, Any, str]:
        code = main(["projection", *arguments, "--json"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return run


def settle(stack: Stack, seconds: float = 60.0) -> None:
    log = compose.log_reader(stack.settings)
    until = time.monotonic() + seconds
    try:
        while any(view_status.status(stack.settings, find(name), log).lag for name in VIEWS):
            assert time.monotonic() < until, "the views do not come to the end of the log"
            time.sleep(0.1)
    finally:
        log.close()


def rebuilding(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.cli.main", "projection", *arguments, "--no-promote", "--json"],
        env=child_environment(settings.environment()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(600, func_only=True)
@pytest.mark.parametrize("name", VIEWS)
def test_a_rebuild_that_is_killed_at_random_points_goes_on_and_comes_to_the_same(
    stack: Stack, command: Callable[..., Any], name: str
) -> None:
    chance, view = random.Random(f"{SEED} {name}"), find(name)
    store = compose.store(stack.settings, view)
    points = sorted(chance.randrange(RECORDS * 19 // 20) for _ in range(POINTS))
    number, killed = store.live() + 1, 0
    for point in points:
        process = rebuilding(stack.settings, "resume" if number in store.versions() else "rebuild", name)
        while process.poll() is None and sum(store.positions(number).values()) <= point:
            time.sleep(0.01)
        killed += process.poll() is None
        process.kill()
        process.communicate()
        assert store.live() == number - 1
    assert killed >= POINTS - 1  # the last one may have been done
    process = rebuilding(stack.settings, "resume", name)
    said, complaint = process.communicate(timeout=100)
    assert process.returncode == 0, complaint
    assert json.loads(said) | {"records": 0} == {"view": name, "version": number, "state": "ready", "records": 0}
    assert json.loads(said)["records"] < RECORDS  # it did not begin again
    assert sum(store.positions(number).values()) == RECORDS
    code, found, _ = command("diff", name, str(number - 1), str(number))
    assert (code, found["differ"], found["explained"], found["equal"]) == (0, 0, 0, DEVICES)
    store.close()


@pytest.mark.timeout(600, func_only=True)
@pytest.mark.parametrize("name", VIEWS)
def test_readers_see_a_whole_view_while_versions_come_and_go_under_load(
    stack: Stack, command: Callable[..., Any], name: str
) -> None:
    store = compose.store(stack.settings, find(name))
    old = store.live()
    if not any(version.state is State.READY for version in versions_of(store)):
        assert command("rebuild", name, "--no-promote")[0] == 0
    waiting = [version.number for version in versions_of(store) if version.state is State.READY]
    with Watcher(reader_of(stack, name, DEVICES)) as watcher, load(stack, DEVICES):
        code, said, complaint = command("promote", name)
        assert (code, said["state"], store.live()) == (0, "live", waiting[-1]), complaint
        time.sleep(1.0)
        code, said, complaint = command("rollback", name)
        assert (code, said["version"], store.live()) == (0, old, old), complaint
        time.sleep(1.0)
        code, said, complaint = command("rebuild", name, "--processes", "2")
        assert (code, store.live()) == (0, waiting[-1] + 1), complaint
        time.sleep(1.0)
    assert watcher.wrong == []
    assert watcher.looks > 20
    settle(stack)
    verdict = views.verify_view(stack.settings, find(name))
    assert (verdict.equal, verdict.keys) == (True, DEVICES)
    states = {version.number: version.state for version in versions_of(store)}
    assert states[store.live()] is State.LIVE
    assert states[old] is State.RETIRED
    code, found, _ = command("status", name, "--seconds", "0.1")
    assert (code, found[0]["lag"], found[0]["verified"]["equal"], found[0]["live"]) == (0, 0, True, store.live())
    store.close()


def test_devices_are_made_anew_in_the_live_version(stack: Stack, command: Callable[..., Any]) -> None:
    client = redis.Redis.from_url(stack.settings.redis, decode_responses=True)
    prefix = f"device_state:v{client.get('device_state:live') or 1}:doc:"
    client.hset(f"{prefix}device-000003", mapping={"count.telemetry": "1", "invented": "7"})
    client.delete(f"{prefix}device-000005")
    client.hset(f"{prefix}device-nobody", mapping={"count.telemetry": "1", "_revision": "3"})
    damaged = ("device-000003", "device-000005", "device-nobody")
    with load(stack, DEVICES):
        code, done, complaint = command("rebuild", "device_state", "--device", *damaged, "device-000001")
    assert code == 0, complaint
    assert (done["removed"], sorted(done["replaced"])) == (["device-nobody"], ["device-000003", "device-000005"])
    assert done["unchanged"] == ["device-000001"]
    settle(stack)
    assert views.verify_view(stack.settings, find("device_state")).equal
    client.close()


def test_rows_of_a_range_are_made_anew_in_the_live_version(stack: Stack, command: Callable[..., Any]) -> None:
    store, settings = compose.store(stack.settings, find("telemetry")), stack.settings
    rows = f"{settings.clickhouse_database}.telemetry_v{store.live()}"
    who = {"user": settings.clickhouse_user, "password": settings.clickhouse_password}
    client = Client(settings.clickhouse, port=settings.clickhouse_port, **who)
    client.execute(f"ALTER TABLE {rows} UPDATE value = 9000 WHERE partition = 1 AND offset = 5 SETTINGS mutations_sync = 2")
    client.execute(f"ALTER TABLE {rows} DELETE WHERE partition = 2 AND offset BETWEEN 3 AND 8 SETTINGS mutations_sync = 2")
    with load(stack, DEVICES):
        code, done, complaint = command("rebuild", "telemetry", "--from", "5", "--to", "6", "--partition", "1")
        assert (code, done["offsets"], done["replaced"]) == (0, 1, ["fleet.telemetry/1 [5, 6)"]), complaint
        code, done, complaint = command("rebuild", "telemetry", "--from", "2026-01-01")
        assert (code, len(done["replaced"])) == (0, 1), complaint
        assert done["replaced"][0].startswith("fleet.telemetry/2 [0, ")
        assert command("rebuild", "telemetry", "--to", "2100-01-01")[1]["replaced"] == []
    settle(stack)
    assert views.verify_view(stack.settings, find("telemetry")).equal
    client.disconnect()
    store.close()


def test_pause_resume_and_cancel_from_another_process(stack: Stack, command: Callable[..., Any]) -> None:
    store = compose.store(stack.settings, find("device_state"))
    slow = replace(stack.settings, rebuild_records=100)
    process = rebuilding(slow, "rebuild", "device_state")
    number = _building(store)
    assert command("pause", "device_state")[:2] == (0, _asked(number, "building", "paused"))
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, f"version {number} was paused" in complaint) == (1, True)
    assert versions_of(store)[-1].state is State.PAUSED
    code, _, complaint = command("rebuild", "device_state")
    assert (code, "is unfinished: resume, cancel or drop it" in complaint) == (1, True)
    process = rebuilding(slow, "resume", "device_state")
    assert _building(store) == number
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert (process.returncode, versions_of(store)[-1].state) == (130, State.PAUSED)
    assert command("cancel", "device_state")[:2] == (0, _asked(number, "cancelled", "cancelled"))
    assert command("resume", "device_state", str(number))[0] == 1
    assert command("drop", "device_state", str(number))[0] == 0
    assert number not in store.versions()
    store.close()


def _asked(number: int, state: str, wanted: str) -> dict[str, Any]:
    return {"view": "device_state", "version": number, "state": state, "wanted": wanted}


def _building(store: Any) -> int:
    until = time.monotonic() + 60
    while True:
        newest = versions_of(store)[-1]
        if newest.state is State.BUILDING and newest.being_built(time.time()):
            return newest.number
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("rebuild", "nothing"), 2, "no view is named 'nothing'; there are device_state"),
        (("promote", "telemetry", "99"), 1, "there is no version 99"),
        (("resume", "telemetry"), 1, "no version waits to be resumed"),
        (("pause", "telemetry"), 1, "no version is unfinished"),
        (("diff", "telemetry", "98", "99"), 1, "there is no version 98"),
        (("drop", "telemetry", "99"), 1, "there is no version 99"),
        (("rebuild", "telemetry", "--from", "7"), 2, "an offset means nothing without its partition"),
        (("rebuild", "telemetry", "--from", "0", "--to", "999999", "--partition", "0"), 1, "holds the offsets from 0 to"),
        (("rebuild", "telemetry", "--device", "device-000001"), 1, "telemetry: a row is of its record"),
        (("rebuild", "device_state", "--from", "2026-01-01"), 1, "a document is made of all its records"),
        (("rebuild", "device_state", "--tenant", "ada"), 1, "records name no tenant"),
        (("rebuild", "device_state", "--processes", "0"), 1, "--processes is 0"),
    ],
)
def test_what_can_t_be_done_is_said_and_changes_nothing(
    stack: Stack, command: Callable[..., Any], arguments: tuple[str, ...], code: int, message: str
) -> None:
    before = {name: _facts(stack, name) for name in VIEWS}
    said, _, complaint = command(*arguments)
    assert (said, message in complaint) == (code, True), complaint
    assert {name: _facts(stack, name) for name in VIEWS} == before


def _facts(stack: Stack, name: str) -> list[Any]:
    store = compose.store(stack.settings, find(name))
    try:
        return [store.live(), [(version, store.facts(version)) for version in store.versions()]]
    finally:
        store.close()


def test_a_rebuild_without_its_broker_fails_and_says_so(stack: Stack, command: Callable[..., Any]) -> None:
    away = replace(stack.settings, bootstrap_servers="127.0.0.1:1")
    process = rebuilding(away, "rebuild", "device_state")
    _, complaint = process.communicate(timeout=100)
    assert (process.returncode, "does not answer" in complaint) == (3, True), complaint
    assert command("status", "device_state", "--seconds", "0")[0] == 0
