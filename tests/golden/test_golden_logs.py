"""What the views make of the logs of every release has not changed: determinism from release to release."""

import pytest

from projections.catalogue import CATALOGUE
from projections.projection import Projection
from tests.golden.logs import kept_roots, releases, root_of


@pytest.mark.parametrize("release", releases())
@pytest.mark.parametrize("view", CATALOGUE, ids=[view.name for view in CATALOGUE])
def test_a_view_has_the_root_that_it_had(release: str, view: Projection) -> None:
    kept = kept_roots(release).get(view.name, {})
    revision = str(view.revision)
    assert revision in kept, (
        f"the golden log of {release} has no root of revision {revision} of {view.name}: "
        f"run `python -m tests.golden.logs {release}` and commit what it adds"
    )
    assert root_of(release, view) == kept[revision], (
        f"{view.name} makes something else of the log of {release} than its revision {revision} did. If it is meant, raise "
        f"the `revision` of {view.name} in projections/ and run `python -m tests.golden.logs {release}`; if not, it is a bug"
    )


def test_there_is_a_golden_log_in_which_views_differ() -> None:
    assert releases()
    roots = [root for release in releases() for kept in kept_roots(release).values() for root in kept.values()]
    assert len(set(roots)) == len(roots), "a view holds nothing, or another one's content"
