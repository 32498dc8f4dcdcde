"""The device API: heartbeats, telemetry, events, registration."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from connectors.http.body import BodyReader, too_deep
from connectors.http.request import Answer, Fault, Request
from connectors.ingress.answers import (
    Accepted,
    AcceptedHeartbeat,
    Position,
    Results,
    accepted_result,
    batch_status,
    encoder,
    refused_result,
)
from connectors.ingress.delivery import RETRY_AFTER, Deadlines, Wait, deadline_passed
from connectors.ingress.options import Header, Options
from connectors.ingress.uploads import Outcome, Pending, Uploads
from schemas.json_faults import Violation
from schemas.json_form import MalformedBody, RequestForm, Violations

DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")  # the pattern of `device_id` in the contract
TURN = 250  # records of a batch after which other requests get their turn
MOST_ERRORS = 1000  # violations that the answer to one batch names; after that one of each upload
SKEW_MICROSECONDS = 300_000_000
DISK_FULL = 0.95
_BATCH = re.compile(rb'\s*\{\s*"records"\s*:')
_BYTE = re.compile(r"\(byte (\d+)\)")


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    records: list[msgspec.Raw]


class DeviceApi:
    """The handlers. `forms` and `uploads` are by the last segment of the path; registration is "devices"."""

    def __init__(
        self,
        options: Options,
        bodies: BodyReader,
        forms: dict[str, RequestForm],
        uploads: dict[str, Uploads],
        deadlines: Deadlines,
    ) -> None:
        self._options, self._bodies, self._forms, self._uploads = options, bodies, forms, uploads
        self._deadlines = deadlines
        self._envelopes = msgspec.json.Decoder(_Envelope)

    def upload(self, kind: str) -> Callable[[Request], Any]:
        """The handler of `POST /v1/devices/{id}/KIND`."""
        form, uploads = self._forms[kind], self._uploads[kind]
        tell = self._heartbeat if kind == "heartbeat" else _accepted

        async def handle(request: Request) -> Answer:
            (device_id,) = request.arguments
            if DEVICE_ID.fullmatch(device_id) is None:
                message = f"does not match {DEVICE_ID.pattern}"
                raise Fault(400, "INVALID_DEVICE_ID", f"the device id in the path {message}", [("{id}", message)])
            body = await self._body(request)
            if _BATCH.match(body):
                wait = Wait()
                outcomes = await self._submitted(request, device_id, self._members(body), (form, uploads), wait)
                del body
                self._bodies.release(request)
                await self._deadlines.wait(wait)
                return self._batch_answer(outcomes, uploads.kind.topic)
            values = _parsed(form, body)
            return tell(device_id, values, uploads.kind.topic, await self._one(request, device_id, values, uploads))

        return handle

    async def register(self, request: Request) -> Answer:
        """`POST /v1/devices`: the device id is the given one, else the hardware id."""
        values = _parsed(self._forms["devices"], await self._body(request))
        uploads = self._uploads["devices"]
        device_id: str = values.pop("device_id") or values["hardware_id"]
        return _accepted(device_id, values, uploads.kind.topic, await self._one(request, device_id, values, uploads))

    async def _body(self, request: Request) -> bytes:
        content_type = request.content_type.partition(b";")[0].strip().lower()
        if content_type not in (b"", b"application/json"):
            detail = "the body must be application/json"
            raise Fault(415, "UNSUPPORTED_MEDIA_TYPE", detail, [("header Content-Type", detail)])
        body = await self._bodies.read(request)
        if too_deep(body, self._options.max_depth):
            detail = f"the body nests deeper than {self._options.max_depth} levels"
            raise Fault(400, "TOO_DEEP", detail, [("$", detail)])
        return body

    async def _one(self, request: Request, device_id: str, values: dict[str, Any], uploads: Uploads) -> Position:
        wait = Wait()
        outcome = uploads.submit(values, uploads.envelope(device_id, record_headers(request)), wait)
        await self._deadlines.wait(wait)
        decided = self._decided(outcome)
        if isinstance(decided, Fault):
            raise decided
        return decided

    def _decided(self, outcome: Outcome) -> Position | Fault:
        if isinstance(outcome, Pending) and outcome.offset < 0:
            return outcome.fault or deadline_passed(self._deadlines.seconds)
        return outcome

    def _members(self, body: bytes) -> list[msgspec.Raw]:
        try:
            members = self._envelopes.decode(body).records
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _envelope_fault(body, error) from None
        if not members:
            raise Fault(422, "INVALID_BODY", "the batch is empty", [("$.records", "has 0 items, fewer than 1")])
        if len(members) > self._options.max_records:
            message = f"has {len(members)} items, more than {self._options.max_records}"
            raise Fault(413, "TOO_MANY_RECORDS", "the batch is too large", [("$.records", message)])
        return members

    async def _submitted(
        self,
        request: Request,
        device_id: str,
        members: Sequence[msgspec.Raw],
        to: tuple[RequestForm, Uploads],
        wait: Wait,
    ) -> list[Outcome]:
        form, uploads = to
        envelope = uploads.envelope(device_id, record_headers(request))
        outcomes: list[Outcome] = []
        named = 0
        for start in range(0, len(members), TURN):
            if start:
                await asyncio.sleep(0)
            turn = b'{"records":[' + b",".join(members[start : start + TURN]) + b"]}"
            for i, parsed in enumerate(form.parse_batch(turn), start):
                if isinstance(parsed, dict):
                    outcomes.append(uploads.submit(parsed, envelope, wait))
                else:
                    fault = _fault(
                        parsed, 1 if named > MOST_ERRORS else MOST_ERRORS, f"$.records[{i}]", f"$.records[{i - start}]"
                    )
                    named += len(fault.errors)
                    outcomes.append(fault)
        return outcomes

    def _batch_answer(self, outcomes: list[Outcome], topic: str) -> Answer:
        results = [
            refused_result(decided) if isinstance(decided, Fault) else accepted_result(topic, decided)
            for decided in map(self._decided, outcomes)
        ]
        accepted = sum(result.status == 200 for result in results)
        status = batch_status(results)
        headers = [(b"retry-after", b"%d" % RETRY_AFTER)] if status == 503 else []
        return Answer(encoder.encode(Results(results, accepted, len(results) - accepted)), status, headers=headers)

    def _heartbeat(self, device_id: str, values: dict[str, Any], topic: str, position: Position) -> Answer:
        warnings = list(_warnings(values))
        told = AcceptedHeartbeat(
            status="warning" if warnings else "ok",
            server_time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            next_heartbeat_in=self._options.heartbeat_interval,
            warnings=warnings,
            event_id=position.event_text,
            device_id=device_id,
            topic=topic,
            partition=position.partition,
            offset=position.offset,
        )
        return Answer(encoder.encode(told))


def record_headers(request: Request) -> list[Header]:
    """The headers of the records of a request."""
    return [("traceparent", request.trace_parent)]


def _accepted(device_id: str, values: dict[str, Any], topic: str, position: Position) -> Answer:
    told = Accepted(position.event_text, device_id, topic, position.partition, position.offset)
    return Answer(encoder.encode(told))


def _warnings(values: dict[str, Any]) -> Iterator[str]:
    skew = (values["occurred_at"] - time.time_ns() // 1000) / 1e6
    if abs(skew) * 1e6 > SKEW_MICROSECONDS:
        yield f"the device's clock differs from the server's by {skew:.0f} s"
    disk = values["disk_usage"]
    if disk["total"] and disk["used"] >= DISK_FULL * disk["total"]:
        yield f"the disk is {100 * disk['used'] // disk['total']} % full"
    camera = values["camera_status"]
    if camera and camera["error"]:
        yield f"the camera reports: {camera['error']}"


def _parsed(form: RequestForm, body: bytes) -> dict[str, Any]:
    try:
        return form.parse(body)
    except MalformedBody as error:
        raise malformed(body, error.violations[0].message) from None
    except Violations as error:
        raise _fault(error.violations, MOST_ERRORS) from None


def _fault(violations: Sequence[Violation], most: int, upload: str = "$", told: str = "$") -> Fault:
    """The answer to violations of an upload whose path is `upload`, where they say `told`."""
    found = [Violation(upload + path.removeprefix(told), message) for path, message in violations]
    detail = f"{found[0].path}: {found[0].message}" + (f", and {len(found) - 1} more" if len(found) > 1 else "")
    return Fault(422, "INVALID_BODY", detail, found[:most])


def malformed(body: bytes, message: str) -> Fault:
    """The answer to a body that is no JSON: with line and column where the parser says at which byte."""
    match = _BYTE.search(message)
    if match is not None:
        before = body[: int(match[1])]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        message = f"line {line} column {column}: {message}"
    return Fault(400, "MALFORMED_JSON", f"the body is not JSON: {message}", [("$", message)])


def _envelope_fault(body: bytes, error: Exception) -> Fault:
    if isinstance(error, msgspec.ValidationError):
        message, _, place = str(error).partition(" - at `")
        path = place.rstrip("`") or "$"
        return Fault(422, "INVALID_BODY", f"{path}: {message}", [(path, message)])
    return malformed(body, str(error))
