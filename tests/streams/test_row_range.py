"""Rows of a range of the log made anew are what a whole rebuild makes, and no others are touched."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.chunks import Range
from connectors.memory import MemoryLog, MemoryRowStore
from connectors.memory_chunks import MemoryChunks
from connectors.whole_log import MemoryWholeLog
from projections.catalogue import find
from projections.projection import RowProjection
from schemas.corrections import REDRIVING
from schemas.log import TopicPartition
from streams.replay import OutOfRange, Span
from streams.row_proof import Rows, prove_rows, row_roots
from streams.row_range import ranges_of, remake
from streams.settled import Unsettled
from tests.projections.records import logs
from tests.streams.decoding import BAD
from tests.streams.test_rebuild_and_verify import DECODERS, filled, fold, maker
from tests.streams.test_runner import EVENTS, ROWS, Log

SIZE = 3  # offsets of a chunk


def rows_of(store: MemoryRowStore, log: MemoryLog) -> Rows:
    return Rows(ROWS, store, MemoryChunks(store), log, DECODERS, 1)


def damage(store: MemoryRowStore, chance: random.Random) -> None:
    """Rows that are lost, changed, or there though no record implies them."""
    with store.writing(1) as held:
        for identity in sorted(held.content):
            row = held.content[identity]
            match chance.randrange(5):
                case 0:
                    del held.content[identity]
                case 1:
                    held.content[identity] = (*row[:-1], row[-1] + "x")
                case 2:
                    held.content[(*identity, "twin")] = row


def every(log: MemoryLog) -> Iterator[Range]:
    return (Range(source, 0, end) for source, (_, end) in log.bounds(ROWS.topics).items())


@settings(max_examples=50, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_whatever_became_of_rows_they_are_made_what_the_log_implies(log: Log, seed: int) -> None:
    kept, store, chance = filled(log), MemoryRowStore(EVENTS), random.Random(seed)
    fold(ROWS, store, kept, chance)
    rows = rows_of(store, kept)
    if chance.random() < 0.5:
        row_roots(store, rows.chunks, 1, SIZE)  # hashes are kept, of rows as they should be
    damage(store, chance)
    if chance.random() < 0.5:
        row_roots(store, rows.chunks, 1, SIZE)  # ... of damaged ones
    before = sorted(map(repr, store.frame(1).iter_rows()))
    told: list[int] = []
    done = remake(rows, list(every(kept)), 0, SIZE, told.append)
    assert done.offsets == sum(told) == sum(store.positions(1).values())
    assert prove_rows(rows, maker(ROWS, store), SIZE).equal
    assert bool(done.replaced) == (before != sorted(map(repr, store.frame(1).iter_rows())))
    assert remake(rows, list(every(kept)), 0, SIZE).replaced == ()
    fold(ROWS, store, kept)
    assert prove_rows(rows, maker(ROWS, store), SIZE).equal


@settings(max_examples=50, deadline=None)
@given(logs(), st.integers(0, 2**32), st.integers(0, 9), st.integers(0, 9))
def test_rows_of_other_records_are_left_as_they_are(log: Log, seed: int, start: int, stop: int) -> None:
    kept, store, right = filled(log), MemoryRowStore(EVENTS), MemoryRowStore(EVENTS)
    fold(ROWS, right, kept)
    fold(ROWS, store, kept)
    damage(store, random.Random(seed))
    before, should = (sorted(one.frame(1).iter_rows()) for one in (store, right))
    wanted = [Range(source, min(start, end), min(stop, end)) for source, _, end in every(kept)]
    remake(rows_of(store, kept), wanted, 0, SIZE)
    made = sorted(store.frame(1).iter_rows())
    assert [row for row in made if start <= row[2] < stop] == [row for row in should if start <= row[2] < stop]
    assert [row for row in made if not start <= row[2] < stop] == [row for row in before if not start <= row[2] < stop]


def test_nothing_is_done_while_corrections_are_brought_in() -> None:
    kept, store = filled([]), MemoryRowStore(EVENTS)
    source = TopicPartition(ROWS.topics[0], 0)
    kept.append(source, b"k", BAD)
    store.prepare(1)
    store.append(1, source, 0, 1, store.frame(1))
    rows = rows_of(store, kept)
    with store.writing(1) as held:
        held.content[(*source, 0)] = (*source, 0, "device", "event")
    store.note(1, {REDRIVING: "7"})
    with pytest.raises(Unsettled, match="corrections up to 7"):
        remake(rows, [Range(source, 0, 1)], 0, SIZE)
    assert len(store.frame(1)) == 1
    store.note(1, {REDRIVING: None})
    assert remake(rows, [Range(source, 0, 1)], 0, SIZE).replaced == (Range(source, 0, 1),)
    assert store.frame(1).is_empty()


def test_ranges_are_named_by_times_or_offsets() -> None:
    telemetry = find("telemetry")
    assert isinstance(telemetry, RowProjection)
    log = MemoryWholeLog({"fleet.telemetry": 2}, batch_records=2)
    sources = [TopicPartition("fleet.telemetry", number) for number in range(2)]
    for source in sources:
        for offset in range(6):
            log.append(source, b"k", b"v")
            log.timestamps[source, offset] = 1_000 * offset
    assert ranges_of(log, telemetry, Span()) == [Range(source, 0, 6) for source in sources]
    assert ranges_of(log, telemetry, Span(since=1_500, until=4_000)) == [Range(source, 2, 4) for source in sources]
    assert ranges_of(log, telemetry, Span(until=99_000)) == [Range(source, 0, 6) for source in sources]
    assert ranges_of(log, telemetry, Span((1,), 2, 5)) == [Range(sources[1], 2, 5)]
    assert ranges_of(log, telemetry, Span(since=7_000)) == []
    with pytest.raises(OutOfRange, match="has 2 partitions, no partition 7"):
        ranges_of(log, telemetry, Span((7,)))
    with pytest.raises(OutOfRange, match="holds the offsets from 0 to 6"):
        ranges_of(log, telemetry, Span((1,), 0, 9))
