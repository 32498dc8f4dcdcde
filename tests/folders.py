"""Fixtures that all modules of one folder share, and that end with the folder's last test.

pytest's own scope of a package holds in folders that are packages, which these are not: there it means the whole session.
"""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
BEGUN = pytest.StashKey[dict[Path, ExitStack]]()


def within_folder(request: pytest.FixtureRequest, folder: Path, manager: AbstractContextManager[T]) -> T:
    """Enter `manager` until the tests in `folder` are over; for a fixture of the session that only these use."""
    begun = request.config.stash.setdefault(BEGUN, {})
    return begun.setdefault(folder, ExitStack()).enter_context(manager)


def end_folders(config: pytest.Config, next_test: Path | None) -> None:
    """End what was begun within folders that hold no test any more: the next one is in the file `next_test`."""
    for folder, ending in config.stash.get(BEGUN, {}).items():
        if next_test is None or folder not in next_test.parents:
            ending.close()
