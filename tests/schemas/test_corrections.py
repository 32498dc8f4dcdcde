"""The log as it counts under corrections: nothing but the corrected records changes, however it is cut into batches."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.corrections import BrokenCorrections, CorrectedLog, end_of_corrections, entries
from connectors.memory import MemoryLog
from connectors.memory_registry import MemoryRegistry
from schemas.contract import load
from schemas.correction_messages import Correction
from schemas.corrections import CORRECTIONS_TOPIC, Corrections, Entry, MisplacedCorrection, digest
from schemas.log import Batch, TopicPartition
from schemas.message_types import message_types
from schemas.messages import Messages
from tests.schemas.corrections import patched, skipped, withdrawn

SOURCE, OTHER = TopicPartition("topic", 0), TopicPartition("topic", 1)
TOPIC = load().topics[CORRECTIONS_TOPIC]

Record = tuple[int, bytes | None, bytes | None]


def records_of(log: CorrectedLog | MemoryLog, start: int = 0, stop: int = 10**6) -> list[Record]:
    found: list[Record] = []
    following = start
    for batch in log.read(SOURCE, start, stop):
        assert batch.begins == following
        assert len(batch.offsets) == len(batch.keys) == len(batch.values)
        found.extend(zip(batch.offsets, batch.keys, batch.values, strict=True))
        following = batch.following
    assert following == max(start, min(stop, log.bounds(["topic"])[SOURCE][1]))
    return found


@st.composite
def corrected_logs(draw: st.DrawFn) -> tuple[MemoryLog, list[Record], list[Correction], dict[int, bytes | None]]:
    """A log with holes, its records, corrections in their order, and what the corrected records should be (None: gone)."""
    log = MemoryLog({"topic": 2}, batch_records=draw(st.integers(1, 5)))
    values = draw(st.lists(st.none() | st.binary(max_size=3), max_size=15))
    records: list[Record] = []
    for number, value in enumerate(values):
        if draw(st.integers(0, 3)) == 0:
            log.skip(SOURCE, draw(st.integers(1, 3)))
        records.append((log.append(SOURCE, b"%d" % number, value), b"%d" % number, value))
    given_corrections: list[Correction] = []
    expected: dict[int, bytes | None] = {}
    for offset, _, value in draw(st.lists(st.sampled_from(records), max_size=12)) if records else []:
        kind = draw(st.sampled_from(["patch", "skip", "withdraw"]))
        if kind == "patch":
            expected[offset] = draw(st.binary(max_size=4))
            given_corrections.append(patched(SOURCE, offset, value, expected[offset] or b""))
        elif kind == "skip":
            expected[offset] = None
            given_corrections.append(skipped(SOURCE, offset, value))
        elif offset in expected:
            del expected[offset]
            given_corrections.append(withdrawn(SOURCE, offset, value))
    return log, records, given_corrections, expected


@given(corrected_logs(), st.integers(0, 30), st.integers(0, 30))
def test_only_corrected_records_change_and_the_last_correction_counts(
    made: tuple[MemoryLog, list[Record], list[Correction], dict[int, bytes | None]], one: int, other: int
) -> None:
    log, records, corrections, expected = made
    index = Corrections.of((Entry(at, correction) for at, correction in enumerate(corrections)), len(corrections))
    corrected = CorrectedLog(log, index)
    should = [(o, k, expected.get(o, v)) for o, k, v in records if not (o in expected and expected[o] is None)]
    assert records_of(corrected) == should
    end = log.bounds(["topic"])[SOURCE][1]
    start, stop = sorted((min(one, end), other))
    assert records_of(corrected, start, stop) == [record for record in should if start <= record[0] < stop]
    assert records_of(CorrectedLog(log, Corrections.of([], 0))) == records
    assert {entry.correction.offset for entry in index} == set(expected)


def test_corrections_from_the_given_offset_on_do_not_count() -> None:
    first, second = patched(SOURCE, 3, b"old", b"new"), skipped(SOURCE, 3, b"old")
    listed = [Entry(0, first), Entry(1, second)]
    assert [Corrections.of(listed, until).of_record(SOURCE, 3) for until in (0, 1, 2)] == [None, listed[0], listed[1]]
    assert Corrections.of(listed, 2).of_record(OTHER, 3) is None


def test_a_correction_of_another_record_is_refused_by_name() -> None:
    log = MemoryLog({"topic": 2})
    log.append(SOURCE, b"k", b"one")
    log.skip(SOURCE, 1)
    log.append(SOURCE, b"k", None)
    for offset, original, message in (
        (0, b"another", r"topic/0:0 with the SHA-256 .* has " + str(digest(b"one"))),
        (0, None, "SHA-256 of nothing"),
        (1, b"one", "topic/0:1, where no record lies"),
        (2, b"one", "has no value"),
    ):
        index = Corrections.of([Entry(7, skipped(SOURCE, offset, original))], 8)
        with pytest.raises(MisplacedCorrection, match=f"fleet.corrections/0:7 is of .*{message}"):
            list(CorrectedLog(log, index).read(SOURCE, 0, 3))
        assert list(CorrectedLog(log, index).read(OTHER, 0, 3)) == []


def test_a_batch_that_vouches_for_nothing_more_is_corrected_too() -> None:
    index = Corrections.of([Entry(0, skipped(SOURCE, 4, b"b"))], 1)
    left = index.apply(Batch(SOURCE, [3, 4], [b"k", b"k"], [b"a", b"b"]))
    assert (list(left.offsets), list(left.values), left.begins, left.following) == ([3], [b"a"], 3, 5)
    none = index.apply(Batch(SOURCE, [4], [b"k"], [b"b"], epoch=9))
    assert (len(none), none.begins, none.following, none.epoch) == (0, 4, 5, 9)


def stored(corrections: list[Correction], junk: bytes | None = None) -> tuple[MemoryLog, Messages]:
    registry = MemoryRegistry()
    codec = Messages(TOPIC, message_types(TOPIC), registry.register, registry.schema)
    log = MemoryLog({CORRECTIONS_TOPIC: 1}, batch_records=2)
    for correction in corrections:
        log.append(TopicPartition(CORRECTIONS_TOPIC, 0), b"k", codec.encode(correction))
    if junk is not None:
        log.append(TopicPartition(CORRECTIONS_TOPIC, 0), b"k", junk)
    return log, codec


def test_what_is_written_is_read() -> None:
    chance = random.Random(3)
    given_corrections: list[Correction] = [
        patched(SOURCE, 1, b"a", chance.randbytes(40)),
        skipped(OTHER, 2, None),
        withdrawn(SOURCE, 1, b"a"),
    ]
    log, codec = stored(given_corrections)
    assert end_of_corrections(log) == 3
    assert [entry.correction for entry in entries(log, codec, 3)] == given_corrections
    assert [entry.at for entry in entries(log, codec, 2)] == [0, 1]
    assert list(entries(log, codec, 0)) == []


def test_a_topic_that_holds_other_things_or_has_lost_some_is_refused() -> None:
    log, codec = stored([skipped(SOURCE, 1, None)], junk=b"no correction")
    with pytest.raises(BrokenCorrections, match=r"fleet\.corrections/0:1 is no correction"):
        list(entries(log, codec, 2))
    with pytest.raises(BrokenCorrections, match="up to 9 are needed"):
        list(entries(log, codec, 9))
    log.truncate(TopicPartition(CORRECTIONS_TOPIC, 0), 1)
    with pytest.raises(BrokenCorrections, match="from 1 to 2"):
        list(entries(log, codec, 2))
