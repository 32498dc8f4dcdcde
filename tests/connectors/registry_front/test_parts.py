"""Parts of the front by themselves: media types, what is remembered, the OpenAPI document."""

import json

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from connectors.http.request import Fault, Router
from connectors.registry_front.front import Front
from connectors.registry_front.known import Known
from connectors.registry_front.media import GIVEN, negotiated
from connectors.registry_front.openapi import document
from connectors.registry_front.options import FrontOptions
from tests.connectors.registry_front.registry_cases import groups

V1, DEFAULT, JSON = GIVEN


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (b"", V1),
        (b"*/*", V1),
        (b"application/*", V1),
        (b"application/json", JSON),
        (b"APPLICATION/JSON; Q=0.5", JSON),
        (b"text/html, application/json;q=0.1", JSON),
        (b"application/vnd.schemaregistry.v1+json;q=0, */*", DEFAULT),
        (b"application/json;q=0.4, application/*;q=0.3", JSON),
        (b"application/json;q=0", None),
        (b"text/html", None),
        (b"application/json;q=x", None),
        (b",;,", None),
        (b"*/*;q=0.0", None),
    ],
)
def test_the_media_type_that_the_client_prefers(accept: bytes, media: bytes | None) -> None:
    assert negotiated(accept) == media


def test_the_answers_used_longest_ago_are_forgotten_first() -> None:
    known = Known(most=2, most_bytes=1_000)
    known.keep("a", 1)
    known.keep("b", 2)
    assert known.find("a") == 1
    known.keep("c", 3)
    assert (known.find("a"), known.find("b"), known.find("c")) == (1, None, 3)


def test_large_answers_are_few() -> None:
    known = Known(most=100, most_bytes=1_000)
    for number in range(10):
        known.keep(number, "x" * 300)
    assert len(known) == 3
    known.keep("too large", "x" * 2_000)
    assert len(known) == 0
    known.keep("a", "x" * 900)
    known.keep("a", "y" * 900)
    assert known.find("a") == "y" * 900
    known.forget("a")
    known.forget("a")
    assert len(known) == 0


def test_only_a_registry_that_is_away_is_stood_in_for() -> None:
    known = Known(10, 1_000)
    known.keep("a", 1)
    assert known.recall("a", Fault(503, "50003", "away")) == 1
    with pytest.raises(Fault, match="refused"):
        known.recall("a", Fault(422, "42201", "refused"))
    with pytest.raises(Fault, match="away"):
        known.recall("b", Fault(503, "50003", "away"))
    assert known.recalled == 1


def test_the_document_is_valid_and_describes_every_route() -> None:
    front = Front(FrontOptions("http://registry"))
    made = json.loads(document(front.routes))
    OpenAPIV31SpecValidator(made).validate()
    described = {(method.upper(), path) for path, methods in made["paths"].items() for method in methods}
    assert described == {(route.method, route.path) for route in front.routes}
    names = [operation["operationId"] for methods in made["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_the_document_has_every_status_of_every_case() -> None:
    router = Router(Front(FrontOptions("http://registry")).routes)
    missing = set()
    for cases in groups().values():
        for case in cases:
            method, path = case.request.split(" ")
            try:
                route, _ = router.find(method, path.partition("?")[0].rstrip("/").encode() or b"/")
            except Fault:
                continue  # a path or method that is not there
            if str(case.status) not in route.describe["responses"]:
                missing.add((method, route.path, case.status))
    assert missing == set()
