"""Of many verdicts those that change something: a rule's newest verdict on each key, and the rows that differ. Columnar.

A row without a verdict (what the expression needs is not there) changes nothing. With `repeat` N a key counts as raised from
the N-th raised row in a row on; before that it is neither raised nor cleared.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]
UNCLEAR = -2


class Turns(NamedTuple):
    """`rows` are the places of rows whose verdict differs from that of the key's row before, ascending; `codes` theirs."""

    rows: Ints
    codes: Codes


def codes_of(raised: npt.NDArray[np.bool_], cleared: npt.NDArray[np.bool_], clear: npt.NDArray[np.bool_]) -> Codes:
    """Verdicts as numbers; `clear` says which rows have one. What is raised is not cleared, whatever else is said."""
    codes = np.where(raised, 1, np.where(cleared, -1, 0)).astype(np.int8)
    return np.where(clear, codes, np.int8(UNCLEAR)).astype(np.int8)


class Conditions:
    """One rule's newest verdict on each key, by the key's number."""

    def __init__(self, repeat: int) -> None:
        self._repeat = repeat
        self._codes = np.full(0, -1, np.int8)
        self._runs = np.zeros(0, np.int64)

    def _grow(self, keys: int) -> None:
        more = keys - len(self._codes)
        if more > 0:
            more += len(self._codes) // 2
            self._codes = np.concatenate([self._codes, np.full(more, -1, np.int8)])
            self._runs = np.concatenate([self._runs, np.zeros(more, np.int64)])

    def take(self, keys: Ints, codes: Codes) -> tuple[Turns, Codes]:
        """What turns among rows in the order of the log; and the effective code of every row (UNCLEAR where it has none)."""
        effective = codes.copy()
        known = np.flatnonzero(codes != UNCLEAR)
        if not len(known):
            return Turns(known, codes[known]), effective
        self._grow(int(keys.max()) + 1)
        order = known[np.argsort(keys[known], kind="stable")]
        of, said = keys[order], codes[order]
        first = np.concatenate([[True], of[1:] != of[:-1]])
        if self._repeat > 1:
            said = self._counted(of, said, first)
            effective[order] = said
        before = np.concatenate([[0], said[:-1]]).astype(np.int8)
        before[first] = self._codes[of[first]]
        last = np.concatenate([first[1:], [True]])
        self._codes[of[last]] = said[last]
        rows = np.sort(order[said != before])
        return Turns(rows, effective[rows]), effective

    def _counted(self, of: Ints, said: Codes, first: npt.NDArray[np.bool_]) -> Codes:
        """Raised only where as many rows in a row are as `repeat` says."""
        raised = said == 1
        begins = first | np.concatenate([[True], raised[1:] != raised[:-1]])
        start = np.maximum.accumulate(np.where(begins, np.arange(len(said)), 0))
        run = np.arange(len(said)) - start + 1
        starts = np.maximum.accumulate(np.where(first, np.arange(len(said)), 0))
        run = np.where(start == starts, run + self._runs[of], run)
        run = np.where(raised, run, 0)
        last = np.concatenate([first[1:], [True]])
        self._runs[of[last]] = run[last]
        return np.where(raised & (run < self._repeat), 0, said).astype(np.int8)

    def forget(self, key: int) -> None:
        """The key's next raised row turns it, whatever came before."""
        if key < len(self._codes):
            self._codes[key], self._runs[key] = -1, 0

    def kept(self) -> tuple[bytes, bytes]:
        """For a snapshot."""
        return self._codes.tobytes(), self._runs.tobytes()

    def restore(self, kept: tuple[bytes, bytes]) -> None:
        self._codes = np.frombuffer(kept[0], np.int8).copy()
        self._runs = np.frombuffer(kept[1], np.int64).copy()
