"""The device API as a device sees it: paths, bodies, answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from infra.simulator.journal import TOPICS, Kind

SUFFIXES = {Kind.TELEMETRY: "telemetry", Kind.HEARTBEAT: "heartbeat", Kind.EVENT: "events"}
LATER = frozenset({408, 425, 429})  # beside all of 5xx: the same request may succeed later

_encode = msgspec.json.Encoder().encode


def path(kind: Kind, device_id: str) -> str:
    return "/v1/devices" if kind is Kind.REGISTRATION else f"/v1/devices/{device_id}/{SUFFIXES[kind]}"


def body(uploads: Sequence[dict[str, Any]]) -> bytes:
    """One upload as it is, several as a batch."""
    return _encode(uploads[0]) if len(uploads) == 1 else _encode({"records": uploads})


class _Position(msgspec.Struct):
    """The answer to one upload (a heartbeat's says more, among it a `status` in words)."""

    topic: str
    partition: int
    offset: int


class _Result(msgspec.Struct):
    """One upload's result in the answer to a batch."""

    status: int
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    code: str = "no-code"


class _Results(msgspec.Struct):
    """Of a batch, also of one that was refused in part or wholly; an answer without results speaks of the whole."""

    results: list[_Result] | None = None


class _Problem(msgspec.Struct):
    code: str = "no-code"


_one = msgspec.json.Decoder(_Position).decode
_many = msgspec.json.Decoder(_Results).decode
_problem = msgspec.json.Decoder(_Problem).decode


@dataclass(frozen=True, slots=True)
class Acknowledged:
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Refused:
    """`later`: the same upload may succeed later."""

    later: bool
    why: str


Verdict = Acknowledged | Refused


def verdicts(kind: Kind, count: int, status: int, answer: bytes) -> list[Verdict]:
    """What became of each of the `count` uploads of a request.

    An answer that says something else than the API promises is a refusal that names it; the upload is sent again, because
    nothing says that it is in the log.
    """
    try:
        if count == 1 and status == 200:
            return [_acknowledged(kind, _one(answer))]
        results = _many(answer).results if count > 1 else None
        if results is not None:
            if len(results) == count:
                return [_verdict(kind, result) for result in results]
            return [Refused(True, f"{len(results)} results for {count} uploads")] * count
        if status >= 400:
            return [_refused(status, _problem(answer).code)] * count
    except msgspec.MsgspecError:
        if status >= 400:  # not our ingress's own answer, but a proxy's
            return [_refused(status, "no-code")] * count
    return [Refused(True, f"{status} with an answer that is not the API's")] * count


def _verdict(kind: Kind, result: _Result) -> Verdict:
    if result.status != 200:
        return _refused(result.status, result.code)
    if result.topic is None or result.partition is None or result.offset is None:
        return Refused(True, "200 without a position")
    return _acknowledged(kind, _Position(result.topic, result.partition, result.offset))


def _acknowledged(kind: Kind, position: _Position) -> Verdict:
    if position.topic != TOPICS[kind]:
        return Refused(True, f"200 with a position on {position.topic}")
    return Acknowledged(position.partition, position.offset)


def _refused(status: int, code: str) -> Refused:
    return Refused(status in LATER or status >= 500, f"{status} {code}")
