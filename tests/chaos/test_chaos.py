"""The short chaos run, on a real stack: after every fault what was acknowledged, logged and shown is the same.

`make chaos` runs every kind of fault, with longer freezes. Of two kinds of which one does all that the other does, only that
one is here; of those that remain, every other one in one week and the rest in the next. So a week's runs are all the same,
and a failure belongs to the change that it is seen with.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import clickhouse_driver
import pytest
import redis

from infra.chaos.checks import Checks
from infra.chaos.load import LoadOptions
from infra.chaos.report import failure
from infra.chaos.rounds import Bounds, NotProven, Result
from infra.chaos.run import Plan, Run, play
from infra.chaos.schedule import Round, Timing, schedule
from infra.settings import Settings
from infra.stack.harness import Stack, running_stack
from infra.stack.logs import tail
from infra.views import rebuild_view
from projections.catalogue import CATALOGUE, find

FAULTS = (
    "lose-worker",
    "kill-ingress",
    "kill-redis",
    "kill-broker",
    "freeze-worker",
    "kill-worker-while-clickhouse-frozen",
)
SEED = 20_260_101
TIMING = Timing(session=6.0, margin=2.0, freeze=5.0, lead=(1.0, 2.5), tail=1.5)
BOUNDS = Bounds(drain=45.0, settle=45.0)
LOAD = LoadOptions(devices=30, rate=250.0)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(session_timeout=TIMING.session, flush_seconds=0.5)
    # A stack of its own: every process of it is killed and frozen, and all are to be as many as in a user's.
    with running_stack(tmp_path_factory.mktemp("chaos"), workers=2, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def week() -> int:
    """The year's week, and the year before it."""
    year, number, _ = date.today().isocalendar()
    return 100 * year + number


def judge(stack: Stack, rounds: list[Round], seed: int) -> list[Result]:
    """Run the rounds; fails with all that there is to know about the first that does not pass."""
    results = list(play(rounds, stack, LOAD, BOUNDS, lambda result: print(_line(result))))
    data = Path(stack.settings.data)
    run = Run(Plan(seed, len(rounds), TIMING), data, results, {stack.log(n): tail(stack.log(n), 25) for n in stack.names})
    if not run.passed:
        pytest.fail(failure(run), pytrace=False)
    return results


def _line(result: Result) -> str:
    return f"{result.planned.fault}: {result.seconds} s, {'; '.join(map(str, result.done))} {result.problem}"


@pytest.mark.stack
@pytest.mark.timeout(1200)
def test_no_fault_loses_a_record_or_counts_one_twice(stack: Stack, week: int) -> None:
    faults = FAULTS[week % 2 :: 2]
    results = judge(stack, schedule(SEED, len(faults), TIMING, faults), SEED)
    assert [len(result.done) for result in results] == [len(result.planned.steps) for result in results]
    counted = [result.reconciled["logged"] for result in results]
    assert counted == sorted(set(counted)), "every round must add records, else it proves nothing"


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_a_fault_of_any_kind(stack: Stack, week: int) -> None:
    print(f"seed {week}")
    judge(stack, schedule(week, 1, TIMING), week)


@pytest.mark.stack
@pytest.mark.timeout(600)
def test_what_is_wrong_in_a_view_is_named_and_a_rebuild_heals_it(stack: Stack) -> None:
    quiet = Round(1, "none", SEED, (), 4.0)
    judge(stack, [quiet], SEED)
    checks = Checks(stack.settings, stack)
    poorer, lost, doubled = _a_field_less(stack.settings), _a_row_less(stack.settings), _a_row_twice(stack.settings)
    with pytest.raises(NotProven, match="is not equal") as verified:
        checks.verify()
    differing = {name: view["differing"] for name, view in verified.value.report["views"].items() if view["differing"]}
    assert differing == {"device_state": [poorer], "heartbeats": [lost], "telemetry": [doubled]}
    assert verified.value.report["views"].keys() == {projection.name for projection in CATALOGUE}
    with pytest.raises(NotProven, match="is not exact") as reconciled:
        checks.reconcile()
    views = reconciled.value.report["views"]
    assert (views["heartbeats"]["lost"], views["heartbeats"]["duplicated"]) == (1, 0)
    assert (views["telemetry"]["lost"], views["telemetry"]["duplicated"]) == (0, 1)
    for name in ("device_state", "heartbeats", "telemetry"):
        rebuild_view(stack.settings, find(name), lambda progress: None)
    checks.settle(BOUNDS.settle)
    checks.reconcile()
    checks.verify()


def _a_field_less(settings: Settings) -> str:
    """Delete one field of one document; returns its key."""
    with redis.Redis.from_url(settings.redis) as client:
        prefix = "device_state:v1:doc:"
        names = sorted(client.scan_iter(match=f"{prefix}*", count=1000))
        # Not every device has sent telemetry, where the machine was busy.
        name = next(name.decode() for name in names if client.hdel(name, "count.telemetry"))
    return str(name.removeprefix(prefix))


def _a_row_less(settings: Settings) -> str:
    """Delete one row of heartbeats; returns its device."""
    with _clickhouse(settings) as client:
        query = "SELECT device_id, partition, offset FROM fleetlog.heartbeats ORDER BY 1, 2, 3 LIMIT 1"
        ((device, partition, offset),) = client.execute(query)
        client.execute(
            f"ALTER TABLE fleetlog.heartbeats_v1 DELETE WHERE partition = {partition} AND offset = {offset} "
            "SETTINGS mutations_sync = 2"
        )
    return str(device)


def _a_row_twice(settings: Settings) -> str:
    """Add a row of telemetry again, under another identity; returns its device."""
    with _clickhouse(settings) as client:
        ((device,),) = client.execute("SELECT max(device_id) FROM fleetlog.telemetry")
        client.execute(
            "INSERT INTO fleetlog.telemetry_v1 SELECT * REPLACE(reading + 1000 AS reading) FROM fleetlog.telemetry_v1 "
            f"WHERE device_id = '{device}' ORDER BY partition, offset, reading LIMIT 1"
        )
    return str(device)


@contextmanager
def _clickhouse(settings: Settings) -> Iterator[clickhouse_driver.Client]:
    client = clickhouse_driver.Client(settings.clickhouse, port=settings.clickhouse_port, user=settings.clickhouse_user)
    try:
        yield client
    finally:
        client.disconnect()
