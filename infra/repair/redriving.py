"""Bringing corrections into the live views."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from infra import compose
from infra.repair.desk import Desk
from infra.settings import Settings
from infra.views import rebuild_view
from projections.catalogue import CATALOGUE
from projections.projection import Projection
from schemas.corrections import Corrections, made_with
from schemas.places import Place
from streams.redrive import NeedsRebuild, Redrive, changed_records
from streams.runner import Runner


class NothingToRedrive(ValueError):
    """No correction is there that a view does not have."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one view. `records`: of its records that are corrected otherwise than before; `remade`: documents, or
    records' rows."""

    view: str
    version: int
    corrections: int
    records: int
    remade: int


def until_of(desk: Desk, places: Iterable[Place]) -> int:
    """The offset of the corrections' topic behind the corrections of some records, which may be given by their letters.

    Raises:
        NothingToRedrive: one of them has none.
    """
    until = 0
    for place in places:
        letters = desk.letters_of(place)
        history = desk.history(letters[0].place if letters else place)
        if not history:
            raise NothingToRedrive(f"{place} was not corrected: patch or discard it first")
        until = max(until, history[-1].at + 1)
    return until


def due_views(desk: Desk, until: int, only: Iterable[str] = ()) -> list[Projection]:
    """The views that read a record which is corrected otherwise before `until` than they were made with."""
    chosen, made, memo = set(only), desk.made(), dict[int, Corrections]()

    def at(end: int) -> Corrections:
        if end not in memo:
            memo[end] = compose.corrections_until(desk.settings, desk.log, end)
        return memo[end]

    return [
        projection
        for projection in CATALOGUE
        if (not chosen or projection.name in chosen)
        and made[projection.name] < until
        and any(place[0].topic in projection.topics for place in changed_records(at(made[projection.name]), at(until)))
    ]


def redrive(settings: Settings, projection: Projection, until: int) -> Outcome:
    """Bring all corrections before the offset `until` of their topic into one view.

    Raises:
        Away: the broker, the registry or a store does not answer.
        ValueError: the log no longer reaches back to its beginning, or a correction does not fit its record.
        Contended, TooBusy: others wrote all the time.
        Anything that halts a view: a record before the corrected ones can't be folded.
    """
    with Desk(settings) as desk, ExitStack() as opened:
        store = compose.store(settings, projection)
        opened.callback(store.close)
        hashes = compose.hashes(settings, projection)
        opened.callback(hashes.close)
        decoders = compose.decoders(projection, desk.contract, desk.registry)
        letters = compose.dead_letters(settings, desk.contract, desk.registry)
        make: Callable[[int], Runner] = compose.runner_maker(settings, projection, store, decoders, letters)

        def corrections(end: int) -> Corrections:
            return compose.corrections_until(settings, desk.log, end)

        if store.live() not in store.versions():  # nothing was ever folded into it
            return Outcome(projection.name, store.live(), made_with(store.facts(store.live())), 0, 0)
        try:
            done = Redrive(projection, store, desk.log, decoders, make, corrections, hashes).run(until)
            return Outcome(projection.name, done.version, done.corrections, done.records, done.remade)
        except NeedsRebuild:
            version, records = rebuild_view(settings, projection, lambda progress: None)
            return Outcome(projection.name, version, made_with(store.facts(version)), records, records)
