"""An archiver that runs on and on: what is wrong with one partition holds up no other, and what can't close is not read."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.archive import Archive
from connectors.objects import MemoryObjects
from connectors.whole_log import MemoryWholeLog
from schemas.archive.records import Records
from schemas.archive.segment import Damaged
from schemas.log import TopicPartition
from streams.archive_check import check
from streams.archiving import Archiver, BrokenOff, Surroundings, archived_ends
from tests.streams.archives import CLOSING, SOURCES, TOPIC, archiver, fill, random_log, schema_of, whole

OTHER = "fleet.other"


class Counted(MemoryWholeLog):
    """Counts the records that are read."""

    read_so_far = 0

    def records(self, source: TopicPartition, start: int, stop: int) -> Iterator[Records]:
        for part in super().records(source, start, stop):
            self.read_so_far += len(part)
            yield part


class Clock:
    """Milliseconds since 1970, as the test says."""

    now = 0

    def __call__(self) -> int:
        return self.now


def following(log: MemoryWholeLog, archive: Archive, clock: Clock) -> Archiver:
    return Archiver(log, archive, Surroundings(dict, schema_of, lambda: "", clock), CLOSING)


def test_a_partition_that_is_broken_off_does_not_keep_the_others_from_the_archive() -> None:
    log, archive = random_log(3, 200), Archive(MemoryObjects())
    archiver(log, archive, now=-10_000).run([TOPIC])
    log.append(SOURCES[0], None, b"never archived")
    log.truncate(SOURCES[0], log.bounds([TOPIC])[SOURCES[0]][1])
    for _ in range(30):
        log.append(SOURCES[1], b"k", b"v")
    with pytest.raises(BrokenOff, match=f"{TOPIC}/0"):
        archiver(log, archive).run([TOPIC], all_of_it=True)
    assert archived_ends(archive)[str(SOURCES[1])] == log.bounds([TOPIC])[SOURCES[1]][1]


def test_a_topic_whose_manifest_is_damaged_does_not_keep_the_others_from_the_archive() -> None:
    log, objects = MemoryWholeLog({TOPIC: 2, OTHER: 1}), MemoryObjects()
    archive = Archive(objects)
    fill(log, random.Random(1), 50)
    archiver(log, archive).run([TOPIC], all_of_it=True)
    (name,) = archive.manifests(TOPIC)
    objects.kept[name] = objects.kept[name][:-1]
    log.append(TopicPartition(OTHER, 0), None, b"later")
    with pytest.raises(Damaged, match=name):
        archiver(log, archive).run([TOPIC, OTHER], all_of_it=True)
    newest = archive.manifest(OTHER)
    assert newest is not None
    assert newest[0].span(0) == (0, 1)


def test_an_open_segment_is_not_read_again_until_it_may_close() -> None:
    log, clock = Counted({TOPIC: 2}, batch_records=7), Clock()
    made = following(log, Archive(MemoryObjects()), clock)
    for _ in range(CLOSING.offsets - 2):
        log.append(SOURCES[0], b"k", b"v")
    (first,) = made.run([TOPIC])
    read = log.read_so_far
    (second,) = made.run([TOPIC])
    assert (first, read, log.read_so_far) == (second, CLOSING.offsets - 2, read)
    assert (second.waiting, second.oldest_waiting) == (CLOSING.offsets - 2, 0)
    clock.now = CLOSING.milliseconds
    assert [one.records for one in made.run([TOPIC])] == [CLOSING.offsets - 2]
    assert [one.waiting for one in made.run([TOPIC])] == [0]


@given(st.integers(0, 2**32), st.lists(st.tuples(st.integers(0, 25), st.integers(0, 900)), min_size=1, max_size=8))
def test_an_archiver_that_remembers_misses_nothing(seed: int, steps: list[tuple[int, int]]) -> None:
    log, archive, clock, chance = random_log(seed, 0), Archive(MemoryObjects()), Clock(), random.Random(seed)
    made = following(log, archive, clock)
    for records, later in steps:
        clock.now += later
        fill(log, chance, records, clock.now)
        (outcome,) = made.run([TOPIC])
        ends = {source: log.bounds([TOPIC])[source][1] for source in SOURCES}
        reached = {source: archived_ends(archive).get(str(source), 0) for source in SOURCES}
        assert outcome.waiting == sum(ends[source] - reached[source] for source in SOURCES)
        assert all(ends[source] - reached[source] < CLOSING.offsets for source in SOURCES)
        waiting = [row for source in SOURCES for row in whole(log, source) if int(str(row[0])) >= reached[source]]
        assert all(int(str(row[1])) + CLOSING.milliseconds + 10 > clock.now for row in waiting)
    made.run([TOPIC], all_of_it=True)
    assert check(archive, deep=True, log=log).findings == []
