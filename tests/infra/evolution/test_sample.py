"""The sample of a topic is bounded, and spread over its partitions and its time."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.memory import MemoryLog
from infra.evolution.sample import LEAST_RECORDS, SLICES, sample, slices
from schemas.log import TopicPartition
from schemas.wire import prefix


def filled(per_partition: int, partitions: int = 3) -> MemoryLog:
    """Id 1 in the older half of each partition, 2 in the newer; every tenth value is a tombstone or not framed."""
    log = MemoryLog({"t": partitions})
    for partition in range(partitions):
        for i in range(per_partition):
            value = prefix(1 if i < per_partition // 2 else 2) + str(i).encode()
            log.append(TopicPartition("t", partition), b"k", (None, b"{}")[i // 10 % 2] if i % 10 == 9 else value)
    return log


@pytest.mark.parametrize("per_partition", [0, 5, 100, 20_000])
def test_a_sample_is_bounded_and_spread(per_partition: int) -> None:
    found = sample(filled(per_partition), "t", 60)
    assert found.held == 3 * per_partition
    assert found.read <= LEAST_RECORDS + 3 * SLICES
    assert found.read >= min(found.held, LEAST_RECORDS)  # a small topic is read whole
    assert found.read == min(found.held, found.read)
    if per_partition == 20_000:
        assert set(found.records) == {1, 2}
        for number, records in found.records.items():
            assert len(records) == 60
            assert set(Counter(record.source for record in records).values()) == {20}
            spread = {record.offset // 2_500 for record in records}
            assert spread == (set(range(4)) if number == 1 else set(range(4, 8)))
        assert min(record.offset for record in found.records[1]) < 50
        assert max(record.offset for record in found.records[2]) > 20_000 - 1 - LEAST_RECORDS // (3 * SLICES)
        assert found.left_out > 0


def test_all_of_a_small_topic_is_taken() -> None:
    found = sample(filled(20), "t", 1_000)
    assert sum(len(records) for records in found.records.values()) + found.left_out == found.read == found.held == 60


@given(low=st.integers(0, 10_000), count=st.integers(0, 10_000), size=st.integers(1, 300))
def test_slices_are_disjoint_and_reach_both_ends(low: int, count: int, size: int) -> None:
    made = slices(low, low + count, size)
    assert sum(stop - start for start, stop in made) == min(count, SLICES * size)
    assert all(one[1] <= other[0] for one, other in pairwise(made))
    if count:
        assert (made[0][0], made[-1][1]) == (low, low + count)


def test_large_records_are_fewer() -> None:
    log = MemoryLog({"t": 2}, batch_records=10)
    for i in range(4_000):
        log.append(TopicPartition("t", i % 2), b"k", prefix(1) + bytes(10_000))
    found = sample(log, "t", 200, most_bytes=1_000_000)
    (records,) = found.records.values()
    assert 100 <= len(records) <= 116  # a share may be passed by one record
    assert {record.source.partition for record in records} == {0, 1}
    assert found.read < 500
