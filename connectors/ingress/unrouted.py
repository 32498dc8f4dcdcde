"""How a fault is told on a path that has no route: as the API would that its first segment belongs to."""

from collections.abc import Mapping

from connectors.http.problems import problem
from connectors.http.request import Answer, Fault, Render, Request
from connectors.ingress.rest_faults import rest_error
from connectors.ingress.v3_faults import v3_error

# Of Kafka-REST proxies: also what this one does not have, such as consumers.
SURFACES: Mapping[bytes, Render] = {
    **dict.fromkeys((b"topics", b"brokers", b"consumers"), rest_error),
    b"v3": v3_error,
}


def unrouted(fault: Fault, request: Request) -> Answer:
    """A fault as an answer."""
    first = request.raw_path.removeprefix(b"/").partition(b"/")[0]
    return SURFACES.get(first, problem)(fault, request)
