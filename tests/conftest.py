"""What holds for all tests."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.folders import end_folders, unit_of_work

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

    from tests.shared_stack import SharedStack


def pytest_configure(config: pytest.Config) -> None:
    """A test's time is bounded as a whole (pytest-timeout); an example that is slow once, on a busy machine, is no fault.

    The examples are the same in every run, so that a failure belongs to the change that it is seen with. Others are looked
    for with `--hypothesis-profile explore`.
    """
    hypothesis.settings.register_profile("fleetlog", deadline=None, derandomize=True)
    hypothesis.settings.register_profile("explore", deadline=None, print_blob=True)
    hypothesis.settings.load_profile(config.getoption("--hypothesis-profile") or "fleetlog")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their number: they may hold a time (gzip's do), and parallel runs must agree about the names."""
    return f"{len(val)}-bytes" if isinstance(val, bytes) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadFileScheduling":
    """Which process runs what: --dist loadfile, but that modules which share the fixtures of their folder stay together."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of_work(super()._split_scope(nodeid))

    return Scheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the fixtures of the module have ended, which may be lent something by the folder's."""
    end_folders(item.config, nextitem and nextitem.path)


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SharedStack"]:
    """Imports only here what costs the start of every run a second."""
    from infra.stack.harness import running_stack
    from tests.shared_stack import SERVICES, SharedStack

    with running_stack(tmp_path_factory.mktemp("shared"), only=SERVICES) as stores:
        yield SharedStack(stores)
