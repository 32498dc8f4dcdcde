"""The log as it counts in a view: under the corrections that the view's live version has."""

from collections.abc import Callable

import polars as pl

from connectors.corrections import CorrectedLog
from connectors.ports import KeyedStore, LogReader, RowStore
from infra.reconcile.facts import KINDS, POSITION, POSITION_ROWS
from infra.reconcile.gather import Moving
from schemas.corrections import Corrections, made_with

CorrectionsUntil = Callable[[int], Corrections]
"""The corrections in force before an offset of their topic; may raise Away and ValueError."""


class CorrectedLogs:
    """The logs of views, each set of corrections read once."""

    def __init__(self, log: LogReader, corrections_until: CorrectionsUntil) -> None:
        self._log, self._corrections_until = log, corrections_until
        self._known: dict[int, Corrections] = {0: Corrections()}

    def corrections(self, until: int) -> Corrections:
        if until not in self._known:
            self._known[until] = self._corrections_until(until)
        return self._known[until]

    def log(self, until: int) -> LogReader:
        """The log under the corrections before `until`; itself where none is in force."""
        corrections = self.corrections(until)
        return CorrectedLog(self._log, corrections) if any(corrections) else self._log

    def letters(self, until: int, letters: pl.DataFrame) -> pl.DataFrame:
        """POSITION_ROWS of those of a view's dead letters that say why it lacks a record: not of what was corrected."""
        places = [
            (KINDS[entry.correction.source.topic], entry.correction.source.partition, entry.correction.offset)
            for entry in self.corrections(until)
            if entry.correction.source.topic in KINDS
        ]
        corrected = pl.DataFrame(places, POSITION_ROWS, orient="row")
        return letters.select(POSITION).join(corrected, on=POSITION, how="anti")


def noted(store: KeyedStore | RowStore, version: int) -> int:
    """Which corrections a version has: those before this offset."""
    return made_with(store.facts(version))


def demand_unmoved(name: str, store: KeyedStore | RowStore, version: int, until: int) -> None:
    """
    Raises:
        Moving: another version is live, or the version was brought under other corrections meanwhile.
    """
    if store.live() != version:
        raise Moving(f"another version of {name} went live")
    if noted(store, version) != until:
        raise Moving(f"corrections were brought into {name}")
