"""What an operator asks of views: a rebuild, a verification. The commands only print what these return."""

from collections.abc import Callable

from infra import compose, proof
from infra.rebuilds import Rebuilds
from infra.settings import Settings
from projections.projection import Projection
from schemas.corrections import made_with
from streams.rebuild import Progress
from streams.verify import Verdict


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
