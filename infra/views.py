"""What an operator asks of views: their state, a rebuild, a verification. The commands only print what these return."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.ports import KeyedStore, LogReader, RowStore
from infra import compose
from infra.rebuilds import Rebuilds
from infra.settings import Settings
from projections.projection import KeyedProjection, Projection
from schemas import contract as contracts
from schemas.corrections import made_with
from streams.rebuild import Progress
from streams.verify import Verdict, verify_keyed, verify_rows


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """A view's versions and where its live one stands. `lag` counts records that are in the log and not yet folded."""

    name: str
    kind: str
    topics: tuple[str, ...]
    live: int
    versions: tuple[int, ...]
    folded: int
    lag: int
    halted: dict[str, str]


def status(settings: Settings, projection: Projection, log: LogReader) -> ViewStatus:
    """Where a view stands."""
    store = compose.store(settings, projection)
    try:
        live = store.live()
        positions = store.positions(live)
        versions = tuple(store.versions())
    finally:
        store.close()
    bounds = log.bounds(projection.topics)
    return ViewStatus(
        projection.name,
        "documents" if isinstance(projection, KeyedProjection) else "rows",
        projection.topics,
        live,
        versions,
        sum(positions.values()),
        sum(max(0, end - positions.get(source, low)) for source, (low, end) in bounds.items()),
        _halts(settings, projection.name),
    )


def _halts(settings: Settings, view: str) -> dict[str, str]:
    """Partitions that the local workers say are halted, with the reason. A worker that does not answer says nothing:
    `fleetlog status` is where its absence shows."""
    halts: dict[str, str] = {}
    for index in range(settings.workers):
        url = f"http://{settings.host}:{settings.worker_metrics_port + index}/health"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                detail = json.load(answer)
        except urllib.error.HTTPError as error:
            detail = json.load(error)
        except OSError:
            continue
        halts |= detail["views"].get(view, {}).get("halted", {})
    return halts


def rebuild_view(settings: Settings, projection: Projection, report: Callable[[Progress], None]) -> tuple[int, int]:
    """Make a new version from the log, with all corrections that there are, and switch to it; returns (version, records)."""
    with Rebuilds(settings, projection) as rebuilds:
        made = rebuilds.rebuild(report)
        rebuilds.promote(made.number, lambda progress: None)
        return made.number, int(made.facts["records"])


def verify_view(settings: Settings, projection: Projection) -> Verdict:
    """Compare a view with the log, under the corrections that the view was made with."""
    with _Parts(settings, projection, corrections_of(settings, projection)) as parts:
        if isinstance(projection, KeyedProjection):
            return verify_keyed(projection, _keyed(parts.store), parts.log, parts.decoders)
        return verify_rows(projection, _rows(parts.store), parts.log, parts.make_runner)


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
