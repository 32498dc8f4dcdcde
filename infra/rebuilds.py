"""What an operator does to the versions of a view, put together from settings. The commands only print what comes of it."""

from collections.abc import Callable
from typing import Any

from connectors.ports import LogReader
from infra import compose
from infra.code import running
from infra.rebuild_processes import fold_in_processes
from infra.settings import Settings
from projections.projection import Projection
from schemas import contract as contracts
from streams import promotion
from streams.folding import Fold, fold_here
from streams.pieces import Size
from streams.promotion import Effects
from streams.rebuild import Parts, Progress, rebuild, resume
from streams.versions import Version

Report = Callable[[Progress], None]


class Rebuilds:
    """The versions of one view; a context manager, which closes what it opened.

    Args:
        processes: how many processes fold; 1 is this one.
    """

    def __init__(self, settings: Settings, projection: Projection, processes: int = 1) -> None:
        self._settings, self._projection = settings, projection
        self.store = compose.store(settings, projection)
        self.log: LogReader = compose.log_reader(settings)
        self._contract, self._schemas = contracts.load(), compose.registry(settings)
        self.decoders = compose.decoders(projection, self._contract, self._schemas)
        make_runner = compose.runner_maker(settings, projection, self.store, self.decoders)
        fold: Fold = fold_here(self.log, make_runner, settings.rebuild_stall_seconds, Size(settings.rebuild_records))
        if processes > 1:
            fold = fold_in_processes(settings, projection, processes, fold)
        self.parts = Parts(projection, self.store, self.log, fold, running())

    def __enter__(self) -> "Rebuilds":
        return self

    def __exit__(self, *_: Any) -> None:
        self.log.close()
        self.store.close()

    def rebuild(self, report: Report) -> Version:
        """A new version from the whole log, ready."""
        return rebuild(self.parts, report)

    def resume(self, number: int | None, report: Report) -> Version:
        """A version whose building stopped, ready."""
        return resume(self.parts, number, report)

    def promote(self, number: int | None, report: Report) -> Version:
        return promotion.promote(self.parts, number, self._effects(), report)

    def rollback(self, report: Report) -> Version:
        return promotion.rollback(self.parts, self._effects(), report)

    def _effects(self) -> Effects:
        letters = compose.dead_letters(self._settings, self._contract, self._schemas)
        return compose.effects_maker(self._projection, self.decoders, letters)
