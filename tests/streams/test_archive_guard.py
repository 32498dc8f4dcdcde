"""The guard lets go of what is old, archived and proven, and of nothing else."""

import random
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from connectors.archive import Archive
from connectors.archived_log import ArchivedLog
from connectors.objects import MemoryObjects
from connectors.whole_log import MemoryWholeLog
from schemas.contract import DAY_MILLISECONDS, Topic, load
from schemas.log import TopicPartition
from streams.archive_guard import Verdict, guard
from tests.streams.archives import SOURCES, TOPIC, archiver, fill, random_log, whole

TOY = replace(load().topics["fleet.heartbeats"], name=TOPIC, retention_days=1)


def guarded(
    log: MemoryWholeLog, archive: Archive, now: int, needed: Mapping[TopicPartition, int] | None = None, topic: Topic = TOY
) -> list[Verdict]:
    def delete(before: Mapping[TopicPartition, int]) -> None:
        for source, offset in before.items():
            log.truncate(source, offset)

    return guard(topic, log, archive, now, needed or {}, delete)


@given(st.integers(0, 2**32), st.integers(0, 3 * DAY_MILLISECONDS))
def test_what_goes_is_old_and_what_is_read_stays_the_same(seed: int, now: int) -> None:
    log, archive, chance = random_log(seed, 0), Archive(MemoryObjects()), random.Random(seed)
    times = sorted(chance.randint(0, 2 * DAY_MILLISECONDS) for _ in range(4))
    for time in times:
        fill(log, chance, 30, time)
    archiver(log, archive, now=chance.choice([0, 10**12])).run([TOPIC])
    before = {source: whole(log, source) for source in SOURCES}
    verdicts = guarded(log, archive, now)
    assert all(not verdict.held for verdict in verdicts)
    for source, verdict in zip(SOURCES, verdicts, strict=True):
        gone = before[source][: len(before[source]) - len(whole(log, source))]
        assert all(row[1] < now - DAY_MILLISECONDS for row in gone)  # type: ignore[operator]
        assert log.bounds([TOPIC])[source][0] == verdict.now
        assert whole(ArchivedLog(log, archive), source) == before[source]
    assert [verdict.now for verdict in guarded(log, archive, now)] == [verdict.now for verdict in verdicts]


FAR = 10 * DAY_MILLISECONDS


def archived(records: int = 150) -> tuple[MemoryWholeLog, Archive]:
    log, archive = random_log(1, records), Archive(MemoryObjects())
    archiver(log, archive).run([TOPIC], all_of_it=True)
    return log, archive


def test_nothing_that_is_not_archived_goes() -> None:
    verdicts = guarded(random_log(1), Archive(MemoryObjects()), FAR)
    assert [(verdict.now, verdict.held) for verdict in verdicts] == [(0, "nothing of it is archived")] * 2


def test_a_topic_that_is_kept_for_ever_loses_nothing() -> None:
    log, archive = archived()
    assert {verdict.now for verdict in guarded(log, archive, FAR, topic=replace(TOY, retention_days=-1))} == {0}


def test_nothing_goes_behind_a_view_that_has_not_read_it() -> None:
    log, archive = archived()
    verdict = guarded(log, archive, FAR, {SOURCES[0]: 25})[0]
    assert 0 < verdict.now <= 25
    assert verdict.held == "a view or a decider stands at offset 25"


def test_a_damaged_segment_holds_all_behind_it() -> None:
    log, archive = archived()
    found = archive.manifest(TOPIC)
    assert found is not None
    segment = found[0].partitions[0][2]
    archive.objects.kept[segment.name] += b"x"  # type: ignore[attr-defined]
    verdict = guarded(log, archive, FAR)[0]
    assert verdict.now == segment.first
    assert verdict.held.startswith(f"{segment.name} is damaged")


def test_an_archive_of_another_log_lets_nothing_go() -> None:
    _, archive = archived()
    verdict = guarded(random_log(2, 400), archive, FAR)[0]
    assert verdict.now == 0
    assert "is not the one in the log" in verdict.held


def test_a_dry_run_deletes_nothing() -> None:
    log, archive = archived()
    verdicts = guard(TOY, log, archive, FAR, {}, None)
    assert all(verdict.now > 0 for verdict in verdicts)
    assert {low for low, _ in log.bounds([TOPIC]).values()} == {0}
