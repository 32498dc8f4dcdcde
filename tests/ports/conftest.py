"""The services that the port suites run on, started once, and fresh views on them."""

from collections.abc import Iterator

import pytest

from infra.stack.harness import Stack, running_stack
from tests.ports.stores import Opened, Store, open_view


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stores"), only=("redis", "clickhouse")) as stack:
        yield stack


@pytest.fixture
def handles() -> Iterator[list[Store]]:
    made: list[Store] = []
    yield made
    for store in made:
        store.close()


@pytest.fixture(params=["memory documents", "redis", "memory rows", "clickhouse"])
def view(request: pytest.FixtureRequest, services: Stack, handles: list[Store]) -> Opened:
    return open_view(request.param, services.settings, handles)


@pytest.fixture(params=["memory documents", "redis"])
def documents(request: pytest.FixtureRequest, services: Stack, handles: list[Store]) -> Opened:
    return open_view(request.param, services.settings, handles)


@pytest.fixture(params=["memory rows", "clickhouse"])
def rows(request: pytest.FixtureRequest, services: Stack, handles: list[Store]) -> Opened:
    return open_view(request.param, services.settings, handles)
