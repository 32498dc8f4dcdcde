"""An ingress for one test (suites that need no fresh one define their own of the same name), and one with its TLS listeners
for all tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors.ingress.served import Served, options, serving
from tests.connectors.ingress.tls_served import Secured, World, securing

DEADLINE = 0.4  # seconds


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(options(tmp_path)) as running:
        yield running


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Served]:
    with serving(options(tmp_path, request_deadline=DEADLINE)) as running:
        yield running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def open_world(world: World) -> Iterator[Secured]:
    with securing(world) as made:
        yield made


@pytest.fixture
def secured(open_world: Secured) -> Secured:
    """With a security log that was not told of anything yet."""
    open_world.served.call(open_world.served.ingress.security.flush)
    open_world.served.producer.sent.clear()
    return open_world
