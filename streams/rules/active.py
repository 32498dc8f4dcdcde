"""A rule in force in one partition: its evaluator, its newest verdicts, and a cell for each key that it is not idle on."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from streams.rules.aggregation import Aggregation, group_of
from streams.rules.cells import Cell
from streams.rules.conditions import UNCLEAR, Codes, Conditions, Ints, codes_of
from streams.rules.intake import Intake
from streams.rules.ports import Evaluator, Verdicts

Mode = Literal["live", "shadow"]


class Slot(NamedTuple):
    """A rule may be in force live and, in another version, as a shadow."""

    rule_id: str
    mode: Mode

    def __str__(self) -> str:
        return f"{self.rule_id} {self.mode}"


class _Kept(msgspec.Struct, array_like=True):
    windows: bytes
    conditions: tuple[bytes, bytes]
    cells: dict[str, Cell]
    watched: list[str]
    waiting: list[str]
    broken: bool
    aggregation: bytes | None = None


class Verdict(NamedTuple):
    """What a rule says of the rows of a run: `codes` of all, and which rows turn something; `values` are floats, NaN where
    there is none. `late` and `unclear` count rows."""

    codes: Codes
    rows: Ints
    values: npt.NDArray[np.float64]
    late: int
    unclear: int


class Active:
    """`watched`: keys with a timer for their silence. `waiting`: keys whose next row counts whatever it says, since time or
    silence has changed what the row before it said."""

    def __init__(self, slot: Slot, evaluator: Evaluator) -> None:
        self.slot, self.evaluator, self.timing = slot, evaluator, evaluator.timing
        self.conditions = Conditions(self.timing.repeat)
        self.cells: dict[str, Cell] = {}
        self.watched: set[str] = set()
        self.waiting: set[str] = set()
        self.broken, self._broken_at = False, 0
        self.counter = evaluator.counter
        self.aggregation = None if self.counter is None else Aggregation(self.counter)
        self._before: bytes | None = None

    def remember(self, intake: Intake) -> None:
        """Before the rows of a run are taken into its windows: what they hold by now."""
        if self.timing.horizon:
            self._before = self.evaluator.windows() if intake.several else None

    def take(self, verdicts: Verdicts, intake: Intake, scope: npt.NDArray[np.bool_]) -> Verdict:
        """What the rule says of the rows of a run, in their order. Where it can't be evaluated it says nothing from the cut
        of that row on, as if the cuts had come one by one."""
        assert intake.seen is not None
        raised, known = _booleans(verdicts.raised)
        cleared, also_known = _booleans(verdicts.cleared)
        known = known & also_known
        if verdicts.failed is not None:
            self.broken, self._broken_at = True, int(intake.cuts[verdicts.failed.row])
            known = known & (intake.cuts < self._broken_at)
        late = intake.seen.late
        codes = codes_of(raised, cleared, known & ~late & scope)
        turns, codes = self.conditions.take(intake.seen.keys, codes)
        values = verdicts.value.cast(pl.Float64).to_numpy()  # NaN for null
        return Verdict(codes, turns.rows, values, int((late & scope).sum()), int((~known & ~late & scope).sum()))

    def next_row(self, verdict: Verdict, intake: Intake, key: str, cut: int, least: int) -> int | None:
        """The key's first row with a verdict, from the row `least` on, that is behind a cut."""
        number = intake.subjects.numbers.get(key)
        if number is None:
            return None
        rows = intake.rows_of(number)
        rows = rows[(rows >= least) & (intake.cuts[rows] > cut) & (verdict.codes[rows] != UNCLEAR)]
        return int(rows[0]) if len(rows) else None

    def idle(self, intake: Intake | None, key: str, cut: int, at: int) -> tuple[bool | None, bool | None]:
        """What the rule says of a key of which nothing came up to a time behind a cut. Its windows have gone on to the end
        of the run by now: where they know of later rows of the key, they are made anew up to the cut. A rule that can't be
        evaluated any more says nothing."""
        if self.broken and cut >= self._broken_at:
            return None, None
        if intake is None or self._before is None or key not in intake.present:
            return self.evaluator.idle(key, at)
        rows = intake.rows_of(intake.subjects.numbers[key])
        known = rows[intake.cuts[rows] <= cut]
        if len(known) == len(rows):
            return self.evaluator.idle(key, at)
        then = self.evaluator.fresh()
        then.restore(self._before)
        if len(known):
            then.evaluate(intake.frame[known])
        return then.idle(key, at)

    def begin(self) -> None:
        """Another run begins: what was broken in the one before is broken from its first cut on."""
        self._broken_at = 0

    def group(self, key: str, fields: Mapping[str, Any]) -> str:
        """The group of an alert of a key."""
        return self.evaluator.group(fields) if self.aggregation is None else group_of(key)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(
            _Kept(
                self.evaluator.windows(),
                self.conditions.kept(),
                self.cells,
                sorted(self.watched),
                sorted(self.waiting),
                self.broken,
                None if self.aggregation is None else self.aggregation.snapshot(),
            )
        )

    def restore(self, data: bytes) -> None:
        kept = msgspec.msgpack.decode(data, type=_Kept)
        self.evaluator.restore(kept.windows)
        self.conditions.restore(kept.conditions)
        self.cells, self.watched, self.waiting = kept.cells, set(kept.watched), set(kept.waiting)
        self.broken = kept.broken
        if self.aggregation is not None and kept.aggregation is not None:
            self.aggregation.restore(kept.aggregation)


def _booleans(series: pl.Series) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Values, and where there is one."""
    if series.dtype == pl.Boolean and not series.null_count():  # nearly always, and each call costs as much as many rows
        return series.to_numpy(), np.ones(len(series), np.bool_)
    return series.fill_null(False).cast(pl.Boolean).to_numpy(), series.is_not_null().to_numpy()


def fields_of(intake: Intake, row: int) -> dict[str, Any]:
    """What a template may name of a row: its columns that hold something."""
    return {name: value for name, value in intake.fields(row).items() if value is not None}
