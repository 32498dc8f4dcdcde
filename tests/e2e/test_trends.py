"""The trends job on the real Flink, broker and registry: its windows are those that polars computes from the same readings,
also when its processes are killed and when it is stopped with a savepoint; each row is written once."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import httpx
import pytest

from infra import trends
from infra.settings import Settings
from infra.stack import flink
from infra.stack.harness import Stack, run_services
from streams.trends.flink.job import Span
from tests.e2e import trends_topic as topic
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
ONLY = ("broker", "registry", "topics", "schemas")
PATIENCE = 90.0  # seconds


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    chosen = Settings(trends_period=1, trends_checkpoint_seconds=1.0)
    with shared_stack.lend(tmp_path_factory.mktemp("trends"), only=ONLY, settings=chosen) as running:
        yield running


@pytest.fixture(scope="module")
def engine(stack: Stack) -> Iterator[Stack]:
    """Flink, with the job."""
    with run_services(flink.services(stack.settings), flink.own(stack.settings)) as running:
        trends.begin(stack.settings)
        yield running


@pytest.fixture
def cluster(engine: Stack, stack: Stack) -> Iterator[trends.Cluster]:
    found = trends.Cluster(stack.settings)
    yield found
    found.close()


def equal(stack: Stack, made: Sequence[topic.Reading]) -> None:
    """Returns when the windows are those of the readings, each row written once, with revisions that count from 0."""
    wanted, until = topic.windows(made), time.monotonic() + PATIENCE
    while wrong := topic.differences(topic.newest(rows := topic.written(stack)), wanted):
        assert time.monotonic() < until, f"{len(wrong)} of {len(wanted)}, such as {wrong[:5]}"
        time.sleep(0.5)
    revisions: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        revisions.setdefault(tuple(row[name] for name in topic.WINDOW), []).append(row["revision"])
    assert all(sorted(found) == list(range(len(found))) for found in revisions.values())


def test_windows_are_those_that_polars_computes(engine: Stack, stack: Stack) -> None:
    topic.write(stack, topic.readings(0, 900))
    equal(stack, topic.readings(0, 900))


def test_a_fast_clock_makes_no_other_device_late_and_what_is_no_number_is_counted(engine: Stack, stack: Stack) -> None:
    minutes = [row for row in topic.newest(topic.written(stack)).values() if row["window"] == "1m"]
    late, aside = Counter[str](), Counter[str]()
    for row in minutes:
        late[row["device_id"]] += row["late"]
        aside[row["device_id"]] += row["set_aside"]
    kept = sum(one.received_at - one.at > topic.HOUR / 6 and one.at > 0 for one in topic.readings(0, 900))
    assert late["device-2"] == 0  # days ahead, and taken at its reception
    assert 0 < late["device-0"] + late["device-1"] <= kept
    unsound = sum(not (abs(one.value) < 1e150) or one.at == 0 for one in topic.readings(0, 900))
    assert sum(aside.values()) == unsound > 0


def test_prometheus_is_told_how_the_job_does(engine: Stack, stack: Stack) -> None:
    port = stack.settings.trends_port
    jobs, tasks = (httpx.get(f"http://127.0.0.1:{port + place}/metrics", timeout=30).text for place in (5, 6))
    assert "flink_jobmanager_job_lastCheckpointCompletedTimestamp{" in jobs
    assert "flink_jobmanager_job_numRestarts{" in jobs
    assert "records_lag_max{" in tasks


def test_nothing_is_lost_or_doubled_when_the_task_manager_is_killed(engine: Stack, stack: Stack) -> None:
    topic.write(stack, topic.readings(900, 1000))
    engine.kill("flink-tasks")
    topic.write(stack, topic.readings(1000, 1100))
    equal(stack, [*topic.readings(0, 900), *topic.readings(900, 1000), *topic.readings(1000, 1100)])


def test_nothing_is_lost_or_doubled_when_the_job_manager_is_killed(
    engine: Stack, stack: Stack, cluster: trends.Cluster
) -> None:
    topic.write(stack, topic.readings(1100, 1200))
    engine.kill("flink-jobs")
    topic.write(stack, topic.readings(1200, 1300))
    engine.wait_healthy("flink-jobs", PATIENCE)
    assert cluster.live("trends") is None  # it has forgotten
    assert trends.keep(stack.settings, cluster) is not None
    assert trends.keep(stack.settings, cluster) is None  # it runs
    equal(stack, PARTS)


def test_the_job_goes_on_from_a_savepoint(engine: Stack, stack: Stack, cluster: trends.Cluster) -> None:
    savepoint = trends.end(stack.settings, cluster, savepoint=True)
    assert trends.keep(stack.settings, cluster) is None  # it is not wanted
    topic.write(stack, topic.readings(1300, 1350))
    origin = trends.begin(stack.settings)[1]
    assert savepoint is not None
    assert origin is not None
    assert origin.rpartition("/")[2] == savepoint.rpartition("/")[2]
    equal(stack, PARTS + topic.readings(1300, 1350))


def test_a_backfill_writes_the_same_windows_once(engine: Stack, stack: Stack, cluster: trends.Cluster) -> None:
    before = Counter(tuple(row.items()) for row in topic.written(stack))
    since, until = topic.BEGIN - 2 * topic.HOUR, topic.BEGIN + topic.HOUR
    trends.backfill(stack.settings, cluster, Span(since, until))
    after = Counter(tuple(row.items()) for row in topic.written(stack))
    assert before <= after
    made = [dict(row) for row in (after - before).elements()]
    every = topic.windows(PARTS + topic.readings(1300, 1350))
    within = {key: row for key, row in every.items() if row["start"] >= since and row["end"] <= until}
    assert 0 < len(within) < len(every)
    assert len(made) == len(within)
    assert topic.differences(topic.newest(made), within) == []


PARTS = [
    one
    for first, last in ((0, 900), (900, 1000), (1000, 1100), (1100, 1200), (1200, 1300))
    for one in topic.readings(first, last)
]
