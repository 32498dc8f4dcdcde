"""Steps of a restore bring every record to its offset, whatever holes there were and wherever segments were cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.archive.records import Records
from schemas.archive.rewriting import MOST_ABORTED, Aborted, Committed, Forgotten, Plain, Step, steps
from schemas.log import TopicPartition, offsets_of

SOURCE = TopicPartition("fleet.toy", 0)


def part(offsets: list[int], read_from: int, read_to: int) -> Records:
    inside = [offset for offset in offsets if read_from <= offset < read_to]
    count = len(inside)
    found = offsets_of(inside) if inside else range(read_from, read_from)
    values = [b"%d" % offset for offset in inside]
    return Records(SOURCE, found, [0] * count, [None] * count, [()] * count, values, read_from, read_to)


class Broker:
    """Numbers what is written as Kafka does."""

    def __init__(self) -> None:
        self.end, self.given, self.low = 0, dict[int, bytes | None](), 0

    def take(self, step: Step) -> None:
        match step:
            case Plain(records) | Committed(records):
                for offset, value in zip(records.offsets, records.values, strict=True):
                    assert offset == self.end
                    self.given[offset] = value
                    self.end += 1
                self.end += isinstance(step, Committed)
            case Aborted(count):
                assert 1 <= count <= MOST_ABORTED
                self.end += count + 1
            case Forgotten():
                assert self.end == 0
                self.end = self.low = 1


@given(st.sets(st.integers(0, 60), max_size=40), st.integers(0, 70), st.lists(st.integers(1, 69), max_size=6))
def test_every_record_comes_to_its_offset(chosen: set[int], more: int, cuts: list[int]) -> None:
    offsets = sorted(chosen)
    end = max([more, *(offset + 1 for offset in offsets)])
    edges = sorted({0, end, *(cut for cut in cuts if cut < end)})
    parts = [part(offsets, start, stop) for start, stop in pairwise(edges)]
    broker = Broker()
    for step in steps(parts):
        broker.take(step)
    assert broker.end == end
    assert broker.given == {offset: b"%d" % offset for offset in offsets}
    assert broker.low == (1 if (offsets or [end])[0] == 1 else 0)


def test_an_archive_that_begins_late_is_filled_below() -> None:
    broker = Broker()
    for step in steps([part([MOST_ABORTED * 2 + 3], MOST_ABORTED * 2 + 2, MOST_ABORTED * 2 + 4)]):
        broker.take(step)
    assert list(broker.given) == [MOST_ABORTED * 2 + 3]


def test_nothing_is_nothing() -> None:
    assert list(steps([])) == []
