"""Faults as problem details (RFC 9457)."""

from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from connectors.http.request import Answer, Fault, Request

PROBLEM_JSON = b"application/problem+json"


class Violated(msgspec.Struct):
    """One fault in a request: where (a path such as `$.readings[0].value`) and what."""

    path: str
    message: str


class Problem(msgspec.Struct):
    """A problem (RFC 9457). `code` names it for programs and never changes its meaning."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    correlation_id: str
    errors: list[Violated]


def violated(errors: Sequence[tuple[str, str]]) -> list[Violated]:
    return [Violated(path, message) for path, message in errors]


def problem(fault: Fault, request: Request) -> Answer:
    """A fault as an answer."""
    told = Problem(
        type="about:blank",
        title=HTTPStatus(fault.status).phrase,
        status=fault.status,
        detail=fault.detail,
        code=fault.code,
        correlation_id=request.correlation_id,
        errors=violated(fault.errors),
    )
    return Answer(msgspec.json.encode(told), fault.status, PROBLEM_JSON, fault.headers)
