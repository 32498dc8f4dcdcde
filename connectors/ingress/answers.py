"""The documents that the ingress answers with. The OpenAPI document takes their schemas from here."""

import msgspec

from connectors.http.problems import Problem, Violated, violated
from connectors.http.request import Fault
from connectors.ingress.ledger import Receipt
from connectors.ingress.uploads import Pending

SERVER_FAULT = 500
encoder = msgspec.json.Encoder()

Position = Receipt | Pending
"""An accepted upload."""


class Accepted(msgspec.Struct):
    """An upload is in the log, acknowledged by the broker, at this position. A retry gets the same answer."""

    event_id: str
    device_id: str
    topic: str
    partition: int
    offset: int


class AcceptedHeartbeat(msgspec.Struct):
    """An accepted heartbeat; `next_heartbeat_in` is in seconds, `warnings` say what the ingress noticed."""

    status: str
    server_time: str
    next_heartbeat_in: float
    warnings: list[str]
    event_id: str
    device_id: str
    topic: str
    partition: int
    offset: int


class Result(msgspec.Struct, omit_defaults=True, gc=False):
    """What became of one upload of a batch: status 200 and a position, or another status and what is wrong."""

    status: int
    event_id: str | None = None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    code: str | None = None
    detail: str | None = None
    errors: list[Violated] | None = None


class Results(msgspec.Struct):
    """The results of a batch, in the order of its uploads."""

    results: list[Result]
    accepted: int
    refused: int


class Health(msgspec.Struct):
    """Whether the ingress takes uploads now; `checks` says why not ("ok" or a sentence)."""

    status: str
    checks: dict[str, str]


DOCUMENTS = (Problem, Accepted, AcceptedHeartbeat, Results, Health)


def accepted_result(topic: str, position: Position) -> Result:
    return Result(200, position.event_text, topic, position.partition, position.offset)


def refused_result(fault: Fault) -> Result:
    return Result(fault.status, code=fault.code, detail=fault.detail, errors=violated(fault.errors) or None)


def batch_status(results: list[Result]) -> int:
    """200 all accepted, 207 some; none: 503 if one of them may be later, else the worst of the client's faults."""
    accepted = sum(result.status == 200 for result in results)
    if accepted:
        return 200 if accepted == len(results) else 207
    return max(result.status for result in results)
