"""When a batch is handed on: full, old, or with too much waiting; never is one forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.group_options import GroupOptions
from connectors.pending_batch import STARVED, PendingBatch, next_due
from schemas.log import TopicPartition

OPTIONS = GroupOptions("nowhere", "g", "m", ("t",), records=100, seconds=0.05)


def collected(count: int, since: float) -> PendingBatch:
    made = PendingBatch(since)
    made.offsets.extend(range(count))
    return made


def due(caught_up: bool, now: float, *batches: tuple[int, float]) -> int | None:
    pending = {TopicPartition("t", i): collected(*batch) for i, batch in enumerate(batches)}
    found = next_due(pending, OPTIONS, caught_up, now)
    return None if found is None else found.partition


def test_nothing_is_due_of_nothing() -> None:
    assert due(True, 1.0) is None


def test_caught_up_the_oldest_goes_when_it_is_old() -> None:
    assert due(True, 1.0, (1, 0.99), (5, 0.96)) is None
    assert due(True, 1.0, (50, 0.99), (5, 0.94)) == 1


def test_with_more_to_read_batches_grow_until_they_are_full() -> None:
    assert due(False, 1.0, (99, 0.5), (50, 0.6)) is None
    assert due(False, 1.0, (99, 0.5), (100, 0.6)) == 1


def test_with_more_to_read_all_together_are_bounded() -> None:
    assert due(False, 1.0, (70, 0.5), (80, 0.5), (50, 0.5)) == 1


def test_a_small_batch_among_busy_ones_does_not_wait_for_ever() -> None:
    assert due(False, 10.0, (100, 9.9), (1, 10.0 - OPTIONS.seconds * STARVED - 0.01)) == 1


@given(st.lists(st.tuples(st.integers(1, 250), st.floats(0, 100)), min_size=1, max_size=8), st.booleans())
def test_handing_on_comes_to_an_end_and_leaves_less_than_two_batches(
    batches: list[tuple[int, float]], caught_up: bool
) -> None:
    pending = {TopicPartition("t", i): collected(*batch) for i, batch in enumerate(batches)}
    while (source := next_due(pending, OPTIONS, caught_up, 100.0)) is not None:
        del pending[source]
    assert sum(map(len, pending.values())) < 2 * OPTIONS.records
    assert all(len(batch) < OPTIONS.records for batch in pending.values())
    assert all(100.0 - batch.since < OPTIONS.seconds * (1 if caught_up else STARVED) for batch in pending.values())
