"""Fixtures that all modules of one folder share, and that end with the folder's last test.

pytest's own scope of a package holds in folders that are packages, which these are not: there it means the whole session.
Where several processes share the tests, one gets all of such a folder.
"""

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path, PurePosixPath
from typing import TypeVar

import pytest

T = TypeVar("T")
TOGETHER = ("tests/connectors/registry_front", "tests/infra/authority")  # the folders that have such fixtures
BEGUN = pytest.StashKey[dict[Path, ExitStack]]()


def within_folder(request: pytest.FixtureRequest, folder: Path, manager: AbstractContextManager[T]) -> T:
    """Enter `manager` until the tests in `folder` are over; for a fixture of the session that only these use."""
    assert folder.relative_to(request.config.rootpath).as_posix() in TOGETHER, f"{folder} must be named in TOGETHER"
    begun = request.config.stash.setdefault(BEGUN, {})
    return begun.setdefault(folder, ExitStack()).enter_context(manager)


def end_folders(config: pytest.Config, next_test: Path | None) -> None:
    """End what was begun within folders that hold no test any more: the next one is in the file `next_test`."""
    for folder, ending in config.stash.get(BEGUN, {}).items():
        if next_test is None or folder not in next_test.parents:
            ending.close()


def unit_of_work(file: str) -> str:
    """What one process gets as a whole: the file, or its folder."""
    folder = str(PurePosixPath(file).parent)
    return folder if folder in TOGETHER else file
