"""What is archived is what was in the log; whatever is killed when, nothing is torn; what is wrong is named."""

import hashlib
import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.archive import Archive, Overtaken
from connectors.archived_log import ArchivedLog
from connectors.objects import MemoryObjects
from schemas.archive.segment import Damaged
from schemas.log import TopicPartition
from streams.archive_check import check
from streams.archiving import BrokenOff, archived_ends, usable_mark
from tests.streams.archives import (
    CLOSING,
    SOURCES,
    TOPIC,
    Killed,
    MortalObjects,
    archiver,
    fill,
    random_log,
    whole,
)

seeds = st.integers(0, 2**32)


@given(seeds, st.integers(0, 120), st.booleans())
def test_archive_and_rest_of_the_log_are_the_log(seed: int, records: int, all_of_it: bool) -> None:
    log, archive = random_log(seed, records), Archive(MemoryObjects())
    before = {source: whole(log, source) for source in SOURCES}
    bounds = log.bounds([TOPIC])
    archiver(log, archive, now=-10_000).run([TOPIC], all_of_it)
    chance = random.Random(seed)
    for source in SOURCES:
        reached = archived_ends(archive).get(str(source), 0)
        assert reached == bounds[source][1] if all_of_it else bounds[source][1] - reached < CLOSING.offsets
        log.truncate(source, chance.randint(0, reached))
    both = ArchivedLog(log, archive, batch_records=7)
    assert both.bounds([TOPIC]) == bounds
    assert {source: whole(both, source) for source in SOURCES} == before
    for source in SOURCES:
        start = chance.randint(0, bounds[source][1])
        stop = chance.randint(start, bounds[source][1] + 3)
        found = [offset for batch in both.read(source, start, stop) for offset in batch.offsets]
        assert found == [row[0] for row in before[source] if start <= row[0] < stop]  # type: ignore[operator]


@given(seeds, st.integers(1, 5))
def test_segments_are_cut_where_they_close_and_never_change(seed: int, runs: int) -> None:
    log, archive, chance = random_log(seed, 0), Archive(MemoryObjects()), random.Random(seed)
    seen: dict[str, bytes] = {}
    for run in range(runs):
        fill(log, chance, 40, now=run * 700)
        archiver(log, archive, now=run * 700).run([TOPIC])
        kept = archive.objects.kept  # type: ignore[attr-defined]
        segments = {name: data for name, data in kept.items() if name.endswith(".avro")}
        assert {name: segments[name] for name in seen} == seen
        seen = segments
    found = archive.manifest(TOPIC)
    for partition in found[0].partitions if found else ():
        for segment in partition:
            assert segment.first // CLOSING.offsets == (segment.following - 1) // CLOSING.offsets
    assert check(archive, deep=True, log=log).findings == []
    assert len(archive.manifests(TOPIC)) <= 3


def test_a_run_that_finds_nothing_new_changes_nothing() -> None:
    log, archive = random_log(1), Archive(MemoryObjects())
    archiver(log, archive).run([TOPIC], all_of_it=True)
    kept = dict(archive.objects.kept)  # type: ignore[attr-defined]
    (outcome,) = archiver(log, archive).run([TOPIC], all_of_it=True)
    assert (outcome.segments, outcome.waiting) == (0, 0)
    assert archive.objects.kept == kept  # type: ignore[attr-defined]


@pytest.mark.parametrize("before", [True, False])
def test_a_run_that_is_killed_at_any_point_goes_on(before: bool) -> None:
    points = 0
    for at in range(1, 200):
        points = at
        if not _killed_and_resumed(at, before):
            break
    assert 20 < points < 199


def _killed_and_resumed(at: int, before: bool) -> bool:
    """Whether the run lived long enough to be killed at its change number `at`."""
    log, objects = random_log(at, 120), MemoryObjects()
    killed = True
    try:
        archiver(log, Archive(MortalObjects(objects, at, before))).run([TOPIC], all_of_it=True)
        killed = False
    except Killed:
        halfway = check(Archive(objects), deep=True, log=log)
        assert [finding for finding in halfway.findings if "no manifest" not in finding.what] == []
    fill(log, random.Random(at), 5)
    archive = Archive(objects)
    archiver(log, archive).run([TOPIC], all_of_it=True)
    report = check(archive, deep=True, log=log)
    assert report.findings == []
    assert report.records == sum(len(whole(log, source)) for source in SOURCES)
    assert usable_mark(archive.marks(), archived_ends(archive)) is not None
    return killed


def test_of_two_archivers_one_is_overtaken() -> None:
    log, archive = random_log(2), Archive(MemoryObjects())
    archiver(log, archive).run([TOPIC])
    found = archive.manifest(TOPIC)
    assert found is not None
    archive.publish(*found, [])
    with pytest.raises(Overtaken, match=TOPIC):
        archive.publish(*found, [])


def test_a_log_that_lost_what_was_not_archived_is_refused() -> None:
    log, archive = random_log(3, 200), Archive(MemoryObjects())
    archiver(log, archive, now=-10_000).run([TOPIC])
    log.append(SOURCES[0], None, b"never archived")
    end = log.bounds([TOPIC])[SOURCES[0]][1]
    log.truncate(SOURCES[0], end)
    with pytest.raises(BrokenOff, match=rf"{TOPIC}/0: .*{end}.* lost"):
        archiver(log, archive).run([TOPIC])
    assert any(finding.place == f"{TOPIC}/0" for finding in check(archive, log=log).findings)
    with pytest.raises(ValueError, match=f"begins at offset {end}.*the archive memory holds those from 0"):
        list(ArchivedLog(log, archive).read(SOURCES[0], 0, end + 1))


def test_another_log_is_refused_and_named() -> None:
    archive = Archive(MemoryObjects())
    archiver(random_log(4, 200), archive).run([TOPIC], all_of_it=True)
    with pytest.raises(BrokenOff, match="another log"):
        archiver(random_log(5, 20), archive).run([TOPIC])
    findings = check(archive, log=random_log(6, 250)).findings
    assert any("is not the one in the log" in finding.what for finding in findings)


def test_without_an_archive_what_is_gone_is_said_to_be() -> None:
    log = random_log(7)
    log.truncate(SOURCES[0], 3)
    both = ArchivedLog(log, Archive(MemoryObjects()))
    assert both.bounds([TOPIC])[SOURCES[0]][0] == 3
    with pytest.raises(ValueError, match=rf"{TOPIC}/0: the log begins at offset 3, .* holds none of them"):
        list(both.read(SOURCES[0], 0, 9))


def test_the_archive_is_not_asked_for_what_the_log_has() -> None:
    log, objects = random_log(8), MemoryObjects()
    objects.away = True
    both = ArchivedLog(log, Archive(objects))
    assert [whole(both, source) for source in SOURCES] == [whole(log, source) for source in SOURCES]


def test_what_is_deleted_while_it_is_read_comes_from_the_archive() -> None:
    log, archive = random_log(9, 100), Archive(MemoryObjects())
    archiver(log, archive).run([TOPIC], all_of_it=True)
    expected, (low, end) = whole(log, SOURCES[0]), log.bounds([TOPIC])[SOURCES[0]]

    class Forgetful:
        """Deletes what it is about to be asked for."""

        def bounds(self, topics):  # type: ignore[no-untyped-def]
            return log.bounds(topics)

        def records(self, source, start, stop):  # type: ignore[no-untyped-def]
            yield next(log.records(source, start, stop))
            log.truncate(source, end - 1)
            raise ValueError("offset out of range")

        read, close = log.read, log.close

    both = ArchivedLog(Forgetful(), archive)
    found = [offset for part in both.records(SOURCES[0], low, end - 1) for offset in part.offsets]
    assert found == [row[0] for row in expected if row[0] < end - 1]  # type: ignore[operator]


def _entry(archive: Archive, at: int) -> str:
    found = archive.manifest(TOPIC)
    assert found is not None
    return found[0].partitions[0][at].name


def _kept(archive: Archive) -> dict[str, bytes]:
    kept: dict[str, bytes] = archive.objects.kept  # type: ignore[attr-defined]
    return kept


def _flip(archive: Archive) -> str:
    name = _entry(archive, 1)
    data = bytearray(_kept(archive)[name])
    data[len(data) // 2] ^= 1
    _kept(archive)[name] = bytes(data)
    return name


def _remove(archive: Archive) -> str:
    name = _entry(archive, 1)
    del _kept(archive)[name]
    return name


def _swap(archive: Archive) -> str:
    one, other = _entry(archive, 0), _entry(archive, 1)
    kept = _kept(archive)
    kept[one], kept[other] = kept[other], kept[one]
    return one


def _edit_manifest(archive: Archive) -> str:
    name = archive.manifests(TOPIC)[-1]
    _kept(archive)[name] = _kept(archive)[name].replace(b'"records": ', b'"records":  ', 1)
    return name


def _cut_manifest(archive: Archive) -> str:
    """A segment is taken out, and the manifest's own hash made to fit."""
    name = archive.manifests(TOPIC)[-1]
    plain = json.loads(_kept(archive)[name])["manifest"]
    following = plain["partitions"][0][2]["name"]
    del plain["partitions"][0][1]
    body = json.dumps(plain)
    _kept(archive)[name] = f'{{"sha256":"{hashlib.sha256(body.encode()).hexdigest()}","manifest":{body}}}'.encode()
    return str(following)


def _remove_manifests(archive: Archive) -> str:
    for name in archive.manifests(TOPIC):
        del _kept(archive)[name]
    return f"topics/{TOPIC}/manifest"


def _remove_schema(archive: Archive) -> str:
    del _kept(archive)["schemas/1.json"]
    return "schemas/1.json"


def _spoil_schema(archive: Archive) -> str:
    _kept(archive)["schemas/1.json"] = b"{"
    return "schemas/1.json"


DAMAGES = [_flip, _remove, _swap, _edit_manifest, _cut_manifest, _remove_manifests, _remove_schema, _spoil_schema]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("deep", [False, True])
def test_every_damage_is_found_and_named(damage: Callable[[Archive], str], deep: bool) -> None:
    log, archive = random_log(10, 150), Archive(MemoryObjects())
    archiver(log, archive).run([TOPIC], all_of_it=True)
    assert check(archive, deep).findings == []
    place = damage(archive)
    findings = check(archive, deep).findings
    assert any(place in (finding.place, finding.what.split(": ")[0]) for finding in findings), findings


def test_a_damaged_segment_is_never_read() -> None:
    log, archive = random_log(11, 150), Archive(MemoryObjects())
    archiver(log, archive).run([TOPIC], all_of_it=True)
    log.truncate(SOURCES[0], 40)
    name = _flip(archive)
    with pytest.raises(Damaged, match=name):
        list(ArchivedLog(log, archive).read(SOURCES[0], 0, 50))


def test_a_mark_is_of_use_when_all_its_ends_are_archived() -> None:
    log, archive = random_log(12, 60), Archive(MemoryObjects())
    archiver(log, archive, now=-10_000, group=5).run([TOPIC])
    assert usable_mark(archive.marks(), archived_ends(archive)) is None
    fill(log, random.Random(1), 60)
    archiver(log, archive, now=-10_000, group=9).run([TOPIC])
    usable = usable_mark(archive.marks(), archived_ends(archive))
    assert usable is not None
    assert usable.groups == {"fleetlog.toy": {f"{TOPIC}/0": 5}}
    archiver(log, archive, group=12).run([TOPIC], all_of_it=True)
    assert [mark.groups["fleetlog.toy"][f"{TOPIC}/0"] for mark in archive.marks()] == [12]


def test_a_read_of_what_the_log_has_costs_no_further_question(monkeypatch: pytest.MonkeyPatch) -> None:
    log = random_log(8)

    def refused(topics: object) -> dict[TopicPartition, tuple[int, int]]:
        raise AssertionError("where the log begins is of no interest")

    end = log.bounds([TOPIC])[SOURCES[0]][1]
    monkeypatch.setattr(log, "bounds", refused)
    assert [
        offset for batch in ArchivedLog(log, Archive(MemoryObjects())).read(SOURCES[0], 0, end) for offset in batch.offsets
    ]
