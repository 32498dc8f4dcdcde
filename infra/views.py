"""What an operator asks of views: their state, a rebuild, a verification. The commands only print what these return."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from connectors.ports import LogReader
from infra import compose, proof
from infra.rebuilds import Rebuilds
from infra.settings import Settings
from projections.projection import KeyedProjection, Projection
from schemas.corrections import made_with
from streams.rebuild import Progress
from streams.verify import Verdict


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
    return proof.verify(settings, projection)


def corrections_of(settings: Settings, projection: Projection) -> int:
    """The offset in the corrections' topic before which all corrections are in the live version of a view."""
    store = compose.store(settings, projection)
    try:
        return made_with(store.facts(store.live()))
    finally:
        store.close()
