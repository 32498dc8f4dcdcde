"""How records are written to an empty partition so that each gets the offset that it had. Pure.

What lies between two records in the log (markers of transactions, records of aborted ones) has offsets and is given to no
reader. A restored partition has as many offsets there, made in the same way: a marker behind records that were committed, or
an aborted transaction.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from schemas.archive.records import Records

MOST_ABORTED = 50_000  # records of one aborted transaction
MOST_COMMITTED = 1_000  # of the transaction whose marker fills a hole; the records before need none


@dataclass(frozen=True, slots=True)
class Plain:
    """Records, written outside of any transaction."""

    records: Records


@dataclass(frozen=True, slots=True)
class Committed:
    """Records, written in a transaction: its marker takes the offset behind them."""

    records: Records


@dataclass(frozen=True, slots=True)
class Aborted:
    """A transaction of so many records (1 or more) that is aborted: they and its marker take an offset each."""

    records: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """One record that fills the partition's offset 0, which is then deleted: a single marker with no record before it."""


Step = Plain | Committed | Aborted | Forgotten


def steps(parts: Iterable[Records]) -> Iterator[Step]:
    """What brings records to their offsets, in an empty partition. The parts follow each other without a break; what lies
    below the first one is filled."""
    waiting: Records | None = None  # until it is known how many offsets lie behind it
    end = 0
    for part in parts:
        for run in _runs(part):
            if waiting is None:
                yield from _filled(run.offsets[0], 0)
            else:
                yield from _written(waiting, run.offsets[0] - waiting.read_to)
            waiting = run
        end = part.read_to
    if waiting is None:
        yield from _filled(end, 0)
    else:
        yield from _written(waiting, end - waiting.read_to)


def _runs(part: Records) -> Iterator[Records]:
    """The records in runs of neighbours."""
    start, offsets = 0, part.offsets
    for index in range(1, len(offsets) + 1):
        if index == len(offsets) or offsets[index] != offsets[index - 1] + 1:
            yield part.between(offsets[start], offsets[index - 1] + 1)
            start = index


def _written(run: Records, hole: int) -> Iterator[Step]:
    """A run of records and the hole behind it."""
    if hole != 1:
        yield Plain(run)
        yield from _filled(hole, run.read_to)
        return
    cut = max(run.offsets[0], run.read_to - MOST_COMMITTED)
    if cut > run.offsets[0]:
        yield Plain(run.between(run.offsets[0], cut))
    yield Committed(run.between(cut, run.read_to))


def _filled(hole: int, at: int) -> Iterator[Step]:
    """Offsets that no reader is given, from `at` on."""
    if hole == 1:
        if at:
            raise ValueError(f"a hole of one offset at {at} has no record before it")
        yield Forgotten()
        return
    while hole > 0:
        taken = min(hole, MOST_ABORTED + 1)
        if hole - taken == 1:
            taken -= 1
        yield Aborted(taken - 1)
        hole -= taken
