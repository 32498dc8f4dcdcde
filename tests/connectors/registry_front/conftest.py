"""What the tests on a real registry share: one broker, one registry, one front."""

from collections.abc import Iterator

import httpx
import pytest

from infra.stack.harness import Stack, running_stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("registry"), only=("broker", "registry")) as running:
        yield running


@pytest.fixture(scope="package")
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.settings.registry, timeout=30) as made:
        yield made
