"""What each surface's OpenAPI document says is so: schemathesis finds no 5xx and no answer that it does not describe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from connectors.memory import MemoryLog
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack
from tests.connectors.ingress.real_topics import make_topics
from tests.connectors.ingress.served import CONTRACT, KEY, PARTITIONS, options, serving
from tests.shared_stack import SharedStack
from tests.surfaces.fuzzing import SEED, Surface, fuzz, of_alerting, of_registration

TOPICS = (*CONTRACT.topics, "free", "hidden")
TOPIC_NAMES, NUMBERS = ["free", "fleet.telemetry"], list(range(PARTITIONS))
KNOWN = {
    "topic": TOPIC_NAMES,
    "topic_name": TOPIC_NAMES,
    "partition": NUMBERS,
    "broker": [1],
    "name": ["retention.ms", "cleanup.policy"],
    "group": ["fleetlog.telemetry"],
}


def with_cluster(url: str, headers: dict[str, str]) -> Surface:
    """An ingress as a surface; the id of its cluster is not known before it runs."""
    (cluster,) = httpx.get(f"{url}/v3/clusters", headers=headers, timeout=20).raise_for_status().json()["data"]
    names = [cluster["cluster_id"]]
    return Surface(url, headers, KNOWN | {"cluster": names, "cluster_id": names})


@contextmanager
def ingress_in_process(directory: Path) -> Iterator[Surface]:
    """The ingress on a broker and a registry of the test's."""
    with serving(options(directory), log=MemoryLog(dict.fromkeys(TOPICS, PARTITIONS))) as served:
        yield with_cluster(f"http://127.0.0.1:{served.port}", {"X-API-Key": KEY})


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with shared_stack.lend(tmp_path_factory.mktemp("real"), only=services, settings=Settings(rest_topics="*")) as running:
        make_topics(running, {"free": PARTITIONS})
        yield running


def ingress(stack: Stack) -> Surface:
    return with_cluster(stack.settings.ingress, {"X-API-Key": api_key(stack.settings)})


def registry(stack: Stack) -> Surface:
    known = {"subject": ["fleet.telemetry-value", "new"], "version": ["1", "latest"], "id": [1, 2]}
    return Surface(stack.settings.registry, {}, known)


@pytest.mark.stack
@pytest.mark.parametrize("surface_of", [ingress, registry], ids=lambda surface_of: surface_of.__name__)
def test_a_process_has_no_5xx_and_no_undocumented_answer(
    stack: Stack, surface_of: Callable[[Stack], Surface], tmp_path: Path
) -> None:
    surface = surface_of(stack)
    document = surface.document()
    OpenAPIV31SpecValidator(document).validate()
    # No decider answers here: test_registration_document asks for registrations, test_alerting_document for rules.
    asked = document["paths"].items()
    paths = {path: item for path, item in asked if not of_registration(item) and not of_alerting(item)}
    report = fuzz(surface, document | {"paths": paths}, tmp_path, examples=5, phases="fuzzing")
    assert report.clean, report.text


def test_more_requests_have_no_5xx_and_no_undocumented_answer(tmp_path: Path) -> None:
    """With what covers each schema's corners, of which v3's many operations have too many for every run."""
    with ingress_in_process(tmp_path) as surface:
        document = surface.document()
        paths = {path: item for path, item in document["paths"].items() if not path.startswith("/v3/")}
        report = fuzz(surface, document | {"paths": paths}, tmp_path, examples=10)
    assert f"Seed: {SEED}" in report.text
    assert report.clean, report.text


def test_an_answer_that_is_not_documented_is_found(tmp_path: Path) -> None:
    with ingress_in_process(tmp_path) as surface:
        document = surface.document()
        upload = document["paths"]["/v1/devices/{id}/telemetry"]["post"]
        del upload["responses"]["422"]
        alone = document | {"paths": {"/v1/devices/{id}/telemetry": {"post": upload}}}
        report = fuzz(surface, alone, tmp_path, examples=3, phases="fuzzing")
    assert not report.clean
    assert "Undocumented status code" in report.text
    assert "422" in report.text
