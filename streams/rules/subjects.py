"""What an engine remembers of the keys of one input: who is who, when each was heard of, and what of a key is new. Columnar.

`late`: the key's rows have gone beyond this row's event time already. It goes into windows that still hold its time, and
decides nothing any more. `again`: the very upload that the key's newest row came from (a device that was not answered sends
it again).
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from streams.rules.ports import AT, KEY, OFFSET, PARTITION, RECEIVED
from streams.rules.rows import BOOT, SEQUENCE

Ints = npt.NDArray[np.int64]
NEVER = -(2**62)


class Seen(NamedTuple):
    """Rows as numbers: the key's number, event time, receipt, and what `late` says. `before`: the newest receipt of the key
    before this row. `again`: how many records were left out."""

    keys: Ints
    at: Ints
    received: Ints
    before: Ints
    late: npt.NDArray[np.bool_]
    again: int


class Last(msgspec.Struct, array_like=True):
    """The newest record of a key: its place, and which upload it was."""

    partition: int
    offset: int
    boot: str | None = None
    sequence: int | None = None


class _Kept(msgspec.Struct, array_like=True):
    names: list[str]
    newest: bytes
    heard: bytes
    last: list[Last]


class Subjects:
    """The keys of one input."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.numbers: dict[str, int] = {}
        self.last: list[Last] = []
        self._newest = np.zeros(0, np.int64)
        self._heard = np.zeros(0, np.int64)

    def heard(self, number: int) -> int:
        """When a key was heard of last: received_at, microseconds."""
        return int(self._heard[number])

    def take(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, Seen]:
        """Rows in the order of the log; those that came again are left out of the frame."""
        keys = self._numbered(frame[KEY].to_list())
        again = 0
        if self._may_be_again(frame, keys):
            repeated = self._again(frame.with_columns(pl.Series("_number", keys)))
            again, stays = len(repeated), ~frame[OFFSET].is_in(repeated.implode())
            frame, keys = frame.filter(stays), keys[stays.to_numpy()]
        seen = self._times(keys, frame[AT].to_numpy(), frame[RECEIVED].to_numpy(), again)
        self._remember(frame, keys)
        return frame, seen

    def _numbered(self, names: Sequence[str]) -> Ints:
        """The number of each row's key."""
        for name in dict.fromkeys(names):
            if name not in self.numbers:
                self.numbers[name] = len(self.names)
                self.names.append(name)
                self.last.append(Last(0, -1))
        self._newest = _grown(self._newest, len(self.names))
        self._heard = _grown(self._heard, len(self.names))
        numbers = self.numbers
        return np.fromiter((numbers[name] for name in names), np.int64, len(names))

    def _may_be_again(self, frame: pl.DataFrame, keys: Ints) -> bool:
        """Whether any record has the sequence of its key's record before. Nearly always none has, and that is all."""
        if BOOT not in frame.columns or SEQUENCE not in frame.columns or not len(keys):
            return False
        offsets, numbers = frame[OFFSET].to_numpy(), frame[SEQUENCE].fill_null(NEVER).to_numpy()
        records = np.flatnonzero(np.concatenate([[True], offsets[1:] != offsets[:-1]]))
        order = records[np.argsort(keys[records], kind="stable")]
        of, said = keys[order], numbers[order]
        first = np.concatenate([[True], of[1:] != of[:-1]])
        before = np.concatenate([[NEVER], said[:-1]])
        carried = (self.last[number].sequence for number in of[first].tolist())
        before[first] = [NEVER if sequence is None else sequence for sequence in carried]
        return bool(((said == before) & (said != NEVER)).any())

    def _again(self, frame: pl.DataFrame) -> pl.Series:
        """The offsets of uploads that are the same as the key's upload before."""
        known = frame["_number"].unique().to_list()
        last = pl.DataFrame(
            {
                "_number": known,
                "_boot": [self.last[number].boot for number in known],
                "_upload": [self.last[number].sequence for number in known],
                "_where": [self.last[number].offset for number in known],
            },
            schema={"_number": pl.Int64, "_boot": pl.String, "_upload": pl.Int64, "_where": pl.Int64},
        )
        records = frame.select("_number", OFFSET, BOOT, SEQUENCE).unique(subset=OFFSET, maintain_order=True)
        carried = records.join(last, on="_number", how="left", maintain_order="left")
        before = [
            pl.col(name).shift(1).over("_number").fill_null(pl.col(carry)).alias(f"{name}_before")
            for name, carry in ((BOOT, "_boot"), (SEQUENCE, "_upload"))
        ]
        same = (pl.col(BOOT) == pl.col("boot_id_before")) & (pl.col(SEQUENCE) == pl.col("sequence_before"))
        return carried.with_columns(before).filter(same.fill_null(False))[OFFSET]

    def _times(self, keys: Ints, at: Ints, received: Ints, again: int) -> Seen:
        order = np.argsort(keys, kind="stable")
        of = keys[order]
        newest = _highest_before(of, at[order], self._newest)
        heard = _highest_before(of, received[order], self._heard)
        late, before = np.zeros(len(keys), np.bool_), np.zeros(len(keys), np.int64)
        late[order], before[order] = at[order] < newest, heard
        np.maximum.at(self._newest, keys, at)
        np.maximum.at(self._heard, keys, received)
        return Seen(keys, at, received, before, late, again)

    def _remember(self, frame: pl.DataFrame, keys: Ints) -> None:
        columns = [name for name in (PARTITION, OFFSET, BOOT, SEQUENCE) if name in frame.columns]
        order = np.argsort(keys, kind="stable")
        ends = np.flatnonzero(np.append(keys[order][1:] != keys[order][:-1], True)) if len(keys) else order
        newest = frame.select(columns)[order[ends]]
        for number, row in zip(keys[order[ends]].tolist(), newest.iter_rows(), strict=True):
            self.last[number] = Last(*row)

    def snapshot(self) -> bytes:
        count = len(self.names)
        return msgspec.msgpack.encode(
            _Kept(self.names, self._newest[:count].tobytes(), self._heard[:count].tobytes(), self.last)
        )

    def restore(self, data: bytes) -> None:
        kept = msgspec.msgpack.decode(data, type=_Kept)
        self.names, self.last = kept.names, kept.last
        self.numbers = {name: number for number, name in enumerate(kept.names)}
        self._newest = np.frombuffer(kept.newest, np.int64).copy()
        self._heard = np.frombuffer(kept.heard, np.int64).copy()


def _grown(values: Ints, count: int) -> Ints:
    more = count - len(values)
    return values if more <= 0 else np.concatenate([values, np.full(more + count // 2, NEVER, np.int64)])


def _highest_before(of: Ints, values: Ints, carried: Ints) -> Ints:
    """For rows sorted by key: the highest value of the key's rows before each, `carried` included."""
    if not len(of):
        return values
    first = np.concatenate([[True], of[1:] != of[:-1]])
    group = np.cumsum(first) - 1
    shifted = np.concatenate([[0], values[:-1]])
    shifted[first] = carried[of[first]]
    heard = shifted != NEVER
    if not heard.any():
        return shifted
    # Each key's values are lifted above those of the key before: one running maximum serves all.
    floor, width = int(shifted[heard].min()) - 1, int(np.ptp(shifted[heard])) + 2
    if width * (int(group[-1]) + 1) >= 2**62:
        return _highest_slowly(first, shifted)
    lifted = np.maximum.accumulate(np.where(heard, shifted - floor, 0) + group * width) - group * width
    return np.where(lifted > 0, lifted + floor, NEVER)


def _highest_slowly(first: npt.NDArray[np.bool_], values: Ints) -> Ints:
    starts = np.flatnonzero(first)
    return np.concatenate([np.maximum.accumulate(part) for part in np.split(values, starts[1:])])
