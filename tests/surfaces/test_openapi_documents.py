"""What each surface's OpenAPI document says is so: schemathesis finds no 5xx and no answer that it does not describe."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from openapi_spec_validator import OpenAPIV31SpecValidator

from connectors.memory import MemoryLog
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import running_stack
from tests.connectors.ingress.served import CONTRACT, KEY, PARTITIONS, options, serving
from tests.surfaces.fuzzing import SEED, Surface, fuzz

TOPICS = (*CONTRACT.topics, "free", "hidden")
KNOWN = {"topic": ["free", "fleet.telemetry"], "partition": list(range(PARTITIONS))}


class Start(Protocol):
    def __call__(self, directory: Path) -> AbstractContextManager[Surface]: ...


@contextmanager
def ingress(directory: Path) -> Iterator[Surface]:
    """The ingress, on a broker and a registry of the test's."""
    with serving(options(directory), log=MemoryLog(dict.fromkeys(TOPICS, PARTITIONS))) as served:
        yield Surface(f"http://127.0.0.1:{served.port}", {"X-API-Key": KEY}, KNOWN)


@contextmanager
def real_ingress(directory: Path) -> Iterator[Surface]:
    """The process, on the real broker and registry."""
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with running_stack(directory, only=services, settings=Settings(rest_topics="*")) as stack:
        admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
        admin.create_topics([NewTopic("free", PARTITIONS)])["free"].result(20)
        headers = {"X-API-Key": api_key(stack.settings)}
        yield Surface(stack.settings.ingress, headers, KNOWN)


@pytest.mark.parametrize("start", [ingress], ids=lambda start: start.__name__)
def test_no_5xx_and_no_undocumented_answer(start: Start, tmp_path: Path) -> None:
    with start(tmp_path) as surface:
        document = surface.document()
        OpenAPIV31SpecValidator(document).validate()
        report = fuzz(surface, document, tmp_path, examples=10)
    assert f"Seed: {SEED}" in report.text
    assert report.clean, report.text


@pytest.mark.stack
@pytest.mark.parametrize("start", [real_ingress], ids=lambda start: start.__name__)
def test_nor_on_the_real_processes(start: Start, tmp_path: Path) -> None:
    with start(tmp_path) as surface:
        report = fuzz(surface, surface.document(), tmp_path, examples=10, phases="fuzzing")
    assert report.clean, report.text


def test_an_answer_that_is_not_documented_is_found(tmp_path: Path) -> None:
    with ingress(tmp_path) as surface:
        document = surface.document()
        upload = document["paths"]["/v1/devices/{id}/telemetry"]["post"]
        del upload["responses"]["422"]
        alone = document | {"paths": {"/v1/devices/{id}/telemetry": {"post": upload}}}
        report = fuzz(surface, alone, tmp_path, examples=3, phases="fuzzing")
    assert not report.clean
    assert "Undocumented status code" in report.text
    assert "422" in report.text
