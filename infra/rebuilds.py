"""What an operator does to the versions of a view, put together from settings. The commands only print what comes of it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connectors.redis_leaves import RedisLeaves
from infra import compose
from infra.code import running
from infra.proof import parts_of
from infra.rebuild_processes import Work, fold_in_processes, folder
from infra.settings import Settings
from projections.projection import KeyedProjection, Projection, RowProjection
from schemas import contract as contracts
from schemas.corrections import FACT, made_with
from streams import promotion
from streams.difference import Difference, diff_documents, diff_rows
from streams.partial import Asked, Refolded, keys_of, refold
from streams.promotion import Effects
from streams.rebuild import Parts, Progress, build, rebuild, resumable
from streams.replay import Span
from streams.row_range import Remade, ranges_of, remake
from streams.settled import SettledLeaves, demand_settled
from streams.versions import Version, version_of

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

    def remake(self, span: Span, tell: Callable[[int, int], None]) -> Remade:
        """The rows of a part of the log in the live version, made anew under the corrections that it was made with. `tell`
        is called with the offsets done and all that are wanted.

        Raises:
            As streams.row_range.
        """
        assert isinstance(self._projection, RowProjection)
        with parts_of(self._settings, self._projection) as parts:
            corrections = made_with(parts.facts)
            demand_settled(parts.store, parts.version, corrections)
            log = compose.whole_log(self._settings)
            try:
                wanted = ranges_of(log, self._projection, span)
            finally:
                log.close()
            total, done = sum(one.stop - one.start for one in wanted), 0

            def count(offsets: int) -> None:
                nonlocal done
                done += offsets
                tell(done, total)

            return remake(parts.rows, wanted, corrections, tell=count)

    def refold(self, asked: Asked) -> Refolded:
        """Documents of the live version, made anew under the corrections that it was made with."""
        keys = keys_of(self._projection, asked)
        assert isinstance(self._projection, KeyedProjection)  # keys_of refuses all else
        store: Any = self.store
        corrections = made_with(store.facts(store.live()))
        log = compose.log_reader(self._settings, corrections)
        leaves = SettledLeaves(RedisLeaves(self._settings.redis, self._projection.name), store, corrections)
        decoders = compose.decoders(self._projection, contracts.load(), compose.registry(self._settings))
        try:
            return refold(self._projection, store, leaves, log, decoders, keys)
        finally:
            leaves.close()
            log.close()

    def diff(self, one: int, other: int) -> Difference:
        """What two versions differ in."""
        store: Any = self.store
        for number in (one, other):
            version_of(store, number)
        return (diff_documents if isinstance(self._projection, KeyedProjection) else diff_rows)(store, one, other)

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
