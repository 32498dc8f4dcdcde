"""Looking up interrupted requests: every way in which the log may have changed meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ingress import recovery
from connectors.ingress.lookup import look_up, mark_of
from connectors.ingress.request_memory import Unfinished
from connectors.ingress.rest_writer import Written
from connectors.traces import MARK
from tests.connectors.ingress.fake_traces import TracedLog
from tests.connectors.ingress.keyed import source

PARTITIONS = 3
RECORDS = 4


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "SETTLE_SECONDS", 0.0)


def write(log: TracedLog, partition: int, mark: bytes | None = None) -> int:
    offset = log.append(source(partition), None, b"1")
    log.traces.note(source(partition), offset, 1_000 + offset, [] if mark is None else [(MARK, mark)])
    return offset


def entry(starts: list[int], request_id: str = "r") -> Unfinished:
    return Unfinished("p/k", request_id, b"", 0, "free", RECORDS, starts, durable=True, interrupted=True)


def log() -> TracedLog:
    return TracedLog({"free": PARTITIONS})


records = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), st.sampled_from(["r", "s", "other", None])), max_size=40)


@given(records, records)
def test_what_is_marked_is_found_and_nothing_else(before: list[tuple[int, str]], after: list[tuple[int, str]]) -> None:
    written, expected = log(), {"r": {}, "s": {}}
    for partition, _ in before:
        write(written, partition)
    starts = [written.bounds(["free"])[source(p)][1] for p in range(PARTITIONS)]
    counts = {"r": 0, "s": 0, "other": 0}
    for partition, writer in after:
        if writer is None or counts[writer] == RECORDS:
            write(written, partition)
            continue
        offset = write(written, partition, mark_of(writer, counts[writer]))
        if writer in expected:
            expected[writer][counts[writer]] = Written(partition, offset, 1_000 + offset)
        counts[writer] += 1
    entries = [entry(list(starts), "r"), entry([0] * PARTITIONS, "s")]
    look_up(written.traces, entries, {"free": False})
    assert {one.request_id: one.written for one in entries} == expected
    assert not any(one.unknowable for one in entries)
    assert entries[0].starts == [written.bounds(["free"])[source(p)][1] for p in range(PARTITIONS)]


def looked_up(written: TracedLog, starts: list[int], compacted: bool = False) -> Unfinished:
    one = entry(starts)
    look_up(written.traces, [one], {"free": compacted})
    return one


def test_nothing_before_the_start_is_read() -> None:
    written = log()
    for _ in range(10):
        write(written, 0)
    looked_up(written, [8, 0, 0])
    assert written.traces.read == 2


def test_records_that_retention_took_make_it_unknowable_unless_all_are_found() -> None:
    written = log()
    write(written, 0, mark_of("r", 0))
    write(written, 0, mark_of("r", 1))
    written.truncate(source(0), 1)
    one = looked_up(written, [0, 0, 0])
    assert (set(one.written), one.unknowable, one.starts) == ({1}, True, [0, 0, 0])
    for index in (0, 2, 3):
        write(written, 1, mark_of("r", index))
    assert not looked_up(written, [0, 0, 0]).unknowable


@pytest.mark.parametrize(("compacted", "hole", "unknowable"), [(True, 0, True), (True, 4, True), (False, 4, False)])
def test_holes_in_a_compacted_topic_make_it_unknowable(compacted: bool, hole: int, unknowable: bool) -> None:
    written = log()
    for number in range(4):
        if number == hole:
            written.skip(source(0), 1)
        write(written, 0)
    if hole == 4:
        written.skip(source(0), 1)
    assert looked_up(written, [0, 0, 0], compacted).unknowable is unknowable


def test_a_compacted_topic_without_holes_is_as_any_other() -> None:
    written = log()
    written.skip(source(0), 3)
    write(written, 0, mark_of("r", 2))
    one = looked_up(written, [3, 0, 0], compacted=True)
    assert (set(one.written), one.unknowable) == ({2}, False)


def test_partitions_that_were_added_and_a_topic_that_was_made_anew_are_read_from_their_beginning() -> None:
    written = log()
    write(written, 1, mark_of("r", 0))
    write(written, 2, mark_of("r", 1))
    assert set(looked_up(written, [0]).written) == {0, 1}
    assert set(looked_up(written, [7, 7, 0]).written) == {0, 1}


def test_of_a_topic_that_is_gone_nothing_is_written() -> None:
    written = log()
    written.traces.forgotten.add("free")
    one = entry([0, 0, 0])
    one.written[0] = Written(0, 0, None)
    look_up(written.traces, [one], {"free": False})
    assert not one.written


def test_marks_that_are_none_are_not_taken_for_one() -> None:
    written = log()
    for mark in (b"r", b"r/", b"r/x", b"r/-1", b"r/4", b"r/99999999999999999999", b"/0", b"", b"r0/1", b"\xff/0"):
        write(written, 0, mark)
    assert not looked_up(written, [0, 0, 0]).written
