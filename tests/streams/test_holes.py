"""Offsets without a data record are no gap, a batch that got lost is one: whatever the holes, cuts and redeliveries."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryLog, MemoryRowStore
from schemas.log import Batch, TopicPartition
from streams.limits import Limit
from streams.runner import Gap, Handled, Runner, writer
from tests.streams.decoding import JsonDecoder, encode
from tests.streams.test_runner import EVENTS, ROWS

SOURCE = TopicPartition("fleet.telemetry", 0)
GENEROUS = Limit(run=1_000, ratio=1.0, window=1_000)


def record(number: int) -> bytes:
    envelope = {"event_id": str(number), "device_id": "d", "occurred_at": 1, "received_at": 2, "boot_id": "b", "sequence": 1}
    return encode({**envelope, "readings": []})


def filled(chance: random.Random, batch_records: int) -> tuple[MemoryLog, list[int]]:
    """A log with holes between its records and at its ends, and the offsets of its records."""
    log, offsets = MemoryLog({SOURCE.topic: 1}, batch_records), []
    for number in range(chance.randrange(30)):
        if chance.random() < 0.3:
            log.skip(SOURCE, chance.randrange(1, 5))
        offsets.append(log.append(SOURCE, None, record(number)))
    log.skip(SOURCE, chance.randrange(3))
    return log, offsets


def make_runner(store: MemoryRowStore) -> Runner:
    made = Runner(ROWS, writer(ROWS, store), {SOURCE.topic: JsonDecoder(SOURCE.topic)}, GENEROUS, 1)
    made.start([SOURCE])
    return made


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_every_record_once_though_batches_get_lost_and_come_again(seed: int, size: int) -> None:
    chance = random.Random(seed)
    log, offsets = filled(chance, size)
    _, end = log.bounds([SOURCE.topic])[SOURCE]
    store = MemoryRowStore(EVENTS)
    store.prepare(1)
    runner = make_runner(store)
    while (position := runner.position(SOURCE) or 0) < end:
        start = chance.randrange(position + 1)  # a rebalance: from here on again
        batches = list(log.read(SOURCE, start, chance.randrange(position, end) + 1))
        for batch in batches:
            if chance.random() < 0.2:
                continue  # it got lost on the way
            at = runner.position(SOURCE) or 0
            if batch.begins > at:
                with pytest.raises(Gap):
                    runner.handle(batch)
                assert store.positions(1).get(SOURCE, 0) == runner.position(SOURCE) == at
                break
            handled = runner.handle(batch)
            assert handled.following == max(at, batch.following) == store.positions(1).get(SOURCE, 0)
            assert handled.records == sum(max(at, batch.begins) <= offset < batch.following for offset in batch.offsets)
        if chance.random() < 0.2:
            runner = make_runner(store)
    assert store.counts(1, SOURCE, 0, end) == dict.fromkeys(offsets, 1)
    assert store.positions(1).get(SOURCE, 0) == end


def test_a_batch_that_vouches_for_nothing_before_it_is_a_gap() -> None:
    store = MemoryRowStore(EVENTS)
    store.prepare(1)
    runner = make_runner(store)
    assert runner.handle(Batch(SOURCE, [1, 3], [None, None], [record(0), record(1)], 0, 0, 5)) == Handled(2, 0, 5)
    with pytest.raises(Gap, match="the log goes on at 6, the view stands at 5"):
        runner.handle(Batch(SOURCE, [6], [None], [record(2)]))
    with pytest.raises(Gap, match="the log goes on at 7"):
        runner.handle(Batch(SOURCE, range(7, 7), [], [], 0, 7, 9))
    assert runner.handle(Batch(SOURCE, range(5, 5), [], [], 0, 5, 6)) == Handled(0, 0, 6)
    assert runner.handle(Batch(SOURCE, [3, 6], [None, None], [record(1), record(2)], 0, 2, 7)) == Handled(1, 0, 7)
    assert runner.handle(Batch(SOURCE, [6], [None], [record(2)])) == Handled(0, 0, 7)
    assert store.counts(1, SOURCE, 0, 9) == {1: 1, 3: 1, 6: 1}


def test_what_is_left_of_a_redelivery_vouches_for_the_rest() -> None:
    batch = Batch(SOURCE, [2, 5], [None, None], [b"a", b"b"], 7, 1, 8)
    for offset in range(2):
        assert batch.since(offset) is batch
    assert batch.since(3) == Batch(SOURCE, [5], [None], [b"b"], 7, 3, 8)
    assert batch.since(6) == Batch(SOURCE, [], [], [], 7, 6, 8)
    assert batch.since(8) is None
