"""An ingress for one test. Suites that need no fresh one define their own of the same name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connectors.ingress.served import Served, options, serving

DEADLINE = 0.4  # seconds


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(options(tmp_path)) as running:
        yield running


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Served]:
    with serving(options(tmp_path, request_deadline=DEADLINE)) as running:
        yield running
