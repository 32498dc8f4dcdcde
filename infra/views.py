"""What an operator asks of views: their state, a rebuild, a verification. The commands only print what these return."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from connectors.ports import KeyedStore, RowStore
from infra import compose
from infra.rebuilds import Rebuilds
from infra.settings import Settings
from infra.view_status import VERIFIED
from projections.projection import KeyedProjection, Projection
from schemas import contract as contracts
from schemas.corrections import made_with
from streams.rebuild import Progress
from streams.verify import Verdict, verify_keyed, verify_rows


def rebuild_view(settings: Settings, projection: Projection, report: Callable[[Progress], None]) -> tuple[int, int]:
    """Make a new version from the log, with all corrections that there are, and switch to it; returns (version, records)."""
    with Rebuilds(settings, projection) as rebuilds:
        made = rebuilds.rebuild(report)
        rebuilds.promote(made.number, lambda progress: None)
        return made.number, int(made.facts["records"])


def verify_view(settings: Settings, projection: Projection) -> Verdict:
    """Compare a view with the log, under the corrections that the view was made with."""
    with _Parts(settings, projection, corrections_of(settings, projection)) as parts:
        version = parts.store.live()
        if isinstance(projection, KeyedProjection):
            verdict = verify_keyed(projection, _keyed(parts.store), parts.log, parts.decoders)
        else:
            verdict = verify_rows(projection, _rows(parts.store), parts.log, parts.make_runner)
        _note(parts.store, version, verdict)
        return verdict


def _note(store: compose.Store, version: int, verdict: Verdict) -> None:
    """Note what came of a verification, for the status. A version that no worker ever prepared keeps no facts."""
    if version in store.versions():
        at = datetime.now(UTC).isoformat(timespec="seconds")
        found = {"at": at, "equal": verdict.equal, "keys": verdict.keys, "differing": len(verdict.differing)}
        store.note(version, {VERIFIED: json.dumps(found)})


def corrections_of(settings: Settings, projection: Projection) -> int:
    """The offset in the corrections' topic before which all corrections are in the live version of a view."""
    store = compose.store(settings, projection)
    try:
        return made_with(store.facts(store.live()))
    finally:
        store.close()


class _Parts:
    """The store, log and decoders of one view, closed at the end. The log's records count as the corrections before the
    offset `corrections` of their topic say."""

    def __init__(self, settings: Settings, projection: Projection, corrections: int = 0) -> None:
        self.log = compose.log_reader(settings, corrections)
        self.store = compose.store(settings, projection)
        self.decoders = compose.decoders(projection, contracts.load(), compose.registry(settings))
        self.make_runner = compose.runner_maker(settings, projection, self.store, self.decoders)

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(self, *_: Any) -> None:
        self.log.close()
        self.store.close()


def _keyed(store: compose.Store) -> KeyedStore:
    return store  # type: ignore[return-value]


def _rows(store: compose.Store) -> RowStore:
    return store  # type: ignore[return-value]
