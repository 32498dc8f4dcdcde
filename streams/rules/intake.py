"""The rows of one input in a run of cuts: numbers for all of them, fields only for those that somebody asks for."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.log import TopicPartition
from streams.rules.cuts import RANK, Layout
from streams.rules.ports import KEY, OFFSET, PARTITION, ROW, Input, Place
from streams.rules.rows import TOPICS
from streams.rules.subjects import Ints, Last, Seen, Subjects

Rank = tuple[int, int, int, int, int]
"""Where a row stands among all that a run processes: cut, place of the topic in the order, partition, offset, row."""


class Intake:
    """`frame` has one row for each number in the arrays."""

    def __init__(self, name: Input, frame: pl.DataFrame, subjects: Subjects, layout: Layout) -> None:
        self.name, self.topic = name, TOPICS[name]
        self.subjects = subjects
        self.previous: dict[str, Last] = {}
        if frame.height:
            self.previous = {key: _last_of(subjects, key) for key in frame[KEY].unique().to_list()}
        self.present = frozenset(self.previous)
        self.several = layout.cuts > 1
        self.seen: Seen | None = None
        self.current: npt.NDArray[np.bool_] | None = None
        """Of certificates: which rows are about what devices have now."""
        self.frame = frame
        if frame.height:
            self.frame, self.seen = subjects.take(frame)
        self.cuts = cuts_of(self.topic, self.frame, layout)
        self._places = self.frame.select(PARTITION, OFFSET, ROW).to_numpy() if self.frame.height else None
        self._order: Ints | None = None
        self._sorted: Ints | None = None

    def __len__(self) -> int:
        return self.frame.height

    def rank(self, row: int) -> Rank:
        assert self._places is not None
        partition, offset, number = map(int, self._places[row])
        return int(self.cuts[row]), RANK[self.topic], partition, offset, number

    def place(self, row: int) -> Place:
        assert self._places is not None
        return Place(self.topic, int(self._places[row][0]), int(self._places[row][1]))

    def fields(self, row: int) -> dict[str, Any]:
        return self.frame.row(row, named=True)

    def rows_of(self, key: int) -> Ints:
        """The rows of a key, ascending."""
        if self.seen is None:
            return np.zeros(0, np.int64)
        if self._order is None or self._sorted is None:
            self._order = np.argsort(self.seen.keys, kind="stable")
            self._sorted = self.seen.keys[self._order]
        begin, end = np.searchsorted(self._sorted, [key, key + 1])
        return self._order[begin:end]

    def heard(self, key: int, cut: int) -> tuple[int, Place | None]:
        """When a key had been heard of last after the cut of that index, and by which record."""
        rows = self.rows_of(key)
        behind = int(np.searchsorted(self.cuts[rows], cut, side="right")) if len(rows) else 0
        if behind:
            assert self.seen is not None
            row = int(rows[behind - 1])
            return int(max(self.seen.before[row], self.seen.received[row])), self.place(row)
        name = self.subjects.names[key]
        last = self._at(self.previous.get(name, self.subjects.last[key]))
        if len(rows):
            assert self.seen is not None
            return int(self.seen.before[rows[0]]), last
        return self.subjects.heard(key), last

    def before(self, row: int) -> Place | None:
        """The record of the key that came before a row's."""
        assert self.seen is not None
        rows = self.rows_of(int(self.seen.keys[row]))
        at = int(np.searchsorted(rows, row))
        return self.place(int(rows[at - 1])) if at else self._at(self.previous[str(self.frame[KEY][row])])

    @staticmethod
    def last(name: Input, subjects: Subjects, number: int) -> Place | None:
        """The newest record of a key of which this run holds none."""
        last = subjects.last[number]
        return Place(TOPICS[name], last.partition, last.offset) if last.offset >= 0 else None

    def _at(self, last: Last) -> Place | None:
        return Place(self.topic, last.partition, last.offset) if last.offset >= 0 else None


def _last_of(subjects: Subjects, key: str) -> Last:
    number = subjects.numbers.get(key)
    return Last(0, -1) if number is None else subjects.last[number]


def cuts_of(topic: str, frame: pl.DataFrame, layout: Layout) -> npt.NDArray[np.int64]:
    """The index of the cut that took each row."""
    found = np.zeros(frame.height, np.int64)
    if not frame.height:
        return found
    partitions, offsets = frame[PARTITION].to_numpy(), frame[OFFSET].to_numpy()
    for partition in np.unique(partitions):
        ends, of = layout.ends(TopicPartition(topic, int(partition)))
        mask = partitions == partition
        found[mask] = np.asarray(of, np.int64)[np.searchsorted(np.asarray(ends), offsets[mask], side="right")]
    return found
