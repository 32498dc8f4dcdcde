"""What each surface's OpenAPI document says is so: schemathesis finds no 5xx and no answer that it does not describe."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from connectors.memory import MemoryLog
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import running_stack
from tests.connectors.ingress.served import CONTRACT, KEY, PARTITIONS, options, serving
from tests.surfaces.fuzzing import SEED, Surface, fuzz

TOPICS = (*CONTRACT.topics, "free", "hidden")


class Start(Protocol):
    def __call__(self, directory: Path) -> AbstractContextManager[Surface]: ...


@contextmanager
def ingress(directory: Path) -> Iterator[Surface]:
    """The ingress, on a broker and a registry of the test's."""
    with serving(options(directory), log=MemoryLog(dict.fromkeys(TOPICS, PARTITIONS))) as served:
        yield Surface(f"http://127.0.0.1:{served.port}/openapi.json", {"X-API-Key": KEY})


@contextmanager
def real_ingress(directory: Path) -> Iterator[Surface]:
    """The process, on the real broker and registry."""
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with running_stack(directory, only=services, settings=Settings(rest_topics="*")) as stack:
        headers = {"X-API-Key": api_key(stack.settings)}
        yield Surface(f"{stack.settings.ingress}/openapi.json", headers)


@pytest.mark.parametrize("start", [ingress], ids=lambda start: start.__name__)
def test_no_5xx_and_no_undocumented_answer(start: Start, tmp_path: Path) -> None:
    with start(tmp_path) as surface:
        report = fuzz(surface, tmp_path, examples=10)
    assert f"Seed: {SEED}" in report.text
    assert report.clean, report.text


@pytest.mark.stack
@pytest.mark.parametrize("start", [real_ingress], ids=lambda start: start.__name__)
def test_nor_on_the_real_processes(start: Start, tmp_path: Path) -> None:
    with start(tmp_path) as surface:
        report = fuzz(surface, tmp_path, examples=5, phases="fuzzing")
    assert f"Seed: {SEED}" in report.text
    assert report.clean, report.text
