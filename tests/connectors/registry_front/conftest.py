"""What the tests on a real registry share: one broker, one registry, one front."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.stack.harness import Stack, running_stack
from tests.folders import within_folder


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    # A stack of its own: the registry is to be empty.
    own = running_stack(tmp_path_factory.mktemp("registry"), only=("broker", "registry"))
    return within_folder(request, Path(__file__).parent, own)


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.settings.registry, timeout=30) as made:
        yield made
