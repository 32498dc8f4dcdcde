"""What an operator does to the versions of a view, put together from settings. The commands only print what comes of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from infra import compose
from infra.code import running
from infra.rebuild_processes import Work, fold_in_processes, folder
from infra.settings import Settings
from projections.projection import Projection
from schemas import contract as contracts
from schemas.corrections import FACT, made_with
from streams import promotion
from streams.promotion import Effects
from streams.rebuild import Parts, Progress, build, rebuild, resumable
from streams.versions import Version

Report = Callable[[Progress], None]


class Rebuilds:
    """The versions of one view; a context manager, which closes what it opened.

    A version is always folded with the corrections that it was begun with: another log would make another state.

    Args:
        processes: how many processes fold; 1 is this one.
    """

    def __init__(self, settings: Settings, projection: Projection, processes: int = 1) -> None:
        self._settings, self._projection, self._processes = settings, projection, processes
        self.store = compose.store(settings, projection)

    def __enter__(self) -> "Rebuilds":
        return self

    def __exit__(self, *_: Any) -> None:
        self.store.close()

    def rebuild(self, report: Report) -> Version:
        """A new version from the whole log, with all corrections that there are; ready."""
        corrections = compose.newest_corrections(self._settings)
        with self._parts(corrections) as parts:
            return rebuild(parts, report, {FACT: str(corrections)})

    def resume(self, number: int | None, report: Report) -> Version:
        """A version whose building stopped, ready."""
        version = resumable(self._projection, self.store, number)
        with self._parts_of(version.facts) as parts:
            return build(parts, version.number, report)

    def promote(self, number: int | None, report: Report) -> Version:
        version = promotion.promotable(self.store, number)
        with self._parts_of(version.facts) as parts:
            return promotion.promote(parts, version, self._effects(), report)

    def rollback(self, report: Report) -> Version:
        version = promotion.earlier(self.store)
        with self._parts_of(version.facts) as parts:
            return promotion.rollback(parts, version, self._effects(), report)

    @contextmanager
    def _parts_of(self, facts: Mapping[str, str]) -> Iterator[Parts]:
        with self._parts(made_with(facts)) as parts:
            yield parts

    @contextmanager
    def _parts(self, corrections: int) -> Iterator[Parts]:
        work = Work(self._settings, self._projection.name, corrections)
        log = compose.log_reader(self._settings, corrections)
        try:
            fold = folder(work, self.store, log)
            if self._processes > 1:
                fold = fold_in_processes(work, self.store, self._processes, fold)
            yield Parts(self._projection, self.store, log, fold, running())
        finally:
            log.close()

    def _effects(self) -> Effects:
        contract, schemas = contracts.load(), compose.registry(self._settings)
        letters = compose.dead_letters(self._settings, contract, schemas)
        return compose.effects_maker(self._projection, compose.decoders(self._projection, contract, schemas), letters)
