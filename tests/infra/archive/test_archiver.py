"""What the archiver process says of itself: what it waits for, what waiting does not mend, what may not leave the log."""

from collections.abc import Callable

import pytest

from connectors.archive import Overtaken
from connectors.objects import Refused
from connectors.ports import Away
from infra.archiver import GRACE_SECONDS, GUARD_SECONDS, ArchiverProcess
from schemas.archive.segment import Damaged
from schemas.log import TopicPartition
from streams.archive_guard import Verdict
from streams.archiving import BrokenOff, Outcome

SOURCE = TopicPartition("fleet.toy", 1)


class Scripted:
    """Does as the test says."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.verdicts = [Verdict(SOURCE, 5, 5, "")]
        self.guards = 0

    def run(self, all_of_it: bool, report: Callable[[Outcome], None]) -> list[Outcome]:
        report(Outcome(SOURCE.topic, 1, 10, 400, 3, 7_000, "head"))
        if self.fault is not None:
            raise self.fault
        return []

    def guard(self, dry: bool) -> list[Verdict]:
        self.guards += 1
        return self.verdicts


class Clock:
    """Seconds, as the test says."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def work() -> Scripted:
    return Scripted()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def process(work: Scripted, clock: Clock) -> ArchiverProcess:
    made = ArchiverProcess(work, clock)
    clock.now += GRACE_SECONDS + 1
    return made


def sample(process: ArchiverProcess, name: str, **labels: str) -> float | None:
    return process.figures.registry.get_sample_value(name, labels)


def test_what_was_archived_is_counted(process: ArchiverProcess) -> None:
    process.round()
    process.round()
    assert sample(process, "fleetlog_archived_records_total", topic=SOURCE.topic) == 20
    assert sample(process, "fleetlog_archived_bytes_total", topic=SOURCE.topic) == 800
    assert sample(process, "fleetlog_archive_waiting_offsets", topic=SOURCE.topic) == 3
    assert sample(process, "fleetlog_archive_oldest_waiting_timestamp_seconds", topic=SOURCE.topic) == 7
    assert process.health() == (True, {"waits for": "", "trouble": "", "held": {}})


@pytest.mark.parametrize("away", [Away("no broker"), Overtaken("by another")])
def test_it_waits_and_is_healthy(process: ArchiverProcess, work: Scripted, away: Exception) -> None:
    work.fault = away
    process.round()
    assert process.health() == (True, {"waits for": str(away), "trouble": "", "held": {}})
    assert sample(process, "fleetlog_archive_failures_total", why="away") == 1
    work.fault = None
    process.round()
    assert process.health()[1] == {"waits for": "", "trouble": "", "held": {}}


@pytest.mark.parametrize("fault", [BrokenOff("another log"), Damaged("manifest 3"), Refused("no such bucket")])
def test_what_waiting_does_not_mend_is_unhealthy_until_it_is_mended(
    process: ArchiverProcess, work: Scripted, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    work.fault = fault
    for _ in range(3):
        process.round()
    assert process.health() == (False, {"waits for": "", "trouble": str(fault), "held": {}})
    assert sample(process, "fleetlog_archive_failures_total", why="trouble") == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"], "said once"
    work.fault = None
    process.round()
    assert process.health()[0] is True


def test_a_stack_does_not_fail_to_start_for_an_archive(work: Scripted, clock: Clock) -> None:
    work.fault = BrokenOff("another log")
    process = ArchiverProcess(work, clock)
    process.round()
    assert process.health()[0] is True
    clock.now += GRACE_SECONDS
    assert process.health()[0] is False


def test_the_guard_is_asked_now_and_then_and_what_it_holds_is_told(
    process: ArchiverProcess, work: Scripted, clock: Clock
) -> None:
    work.verdicts = [Verdict(SOURCE, 5, 25, "a view stands at offset 25")]
    for _ in range(3):
        process.round()
    assert work.guards == 1
    assert process.health() == (
        True,
        {"waits for": "", "trouble": "", "held": {"fleet.toy/1": "a view stands at offset 25"}},
    )
    assert sample(process, "fleetlog_archive_held", topic=SOURCE.topic, partition="1") == 1
    work.verdicts = [Verdict(SOURCE, 25, 30, "")]
    clock.now += GUARD_SECONDS
    process.round()
    assert sample(process, "fleetlog_archive_held", topic=SOURCE.topic, partition="1") == 0
    assert sample(process, "fleetlog_archive_released_offsets_total", topic=SOURCE.topic) == 25
    assert process.health()[1] == {"waits for": "", "trouble": "", "held": {}}


def test_a_bug_ends_the_process(process: ArchiverProcess, work: Scripted) -> None:
    work.fault = KeyError("a bug")
    with pytest.raises(KeyError):
        process.round()
