"""Administrators on certificates: revoke one or many, let an expired one be renewed."""

from datetime import datetime

from connectors.http.request import Answer, Request
from connectors.registration import reading
from connectors.registration.bodies import ConfirmRevocation, ExceptionRequest, MassRevocationRequest, RevokeRequest
from connectors.registration.desk import Desk, moment, told
from connectors.registration.documents import ExceptionAnswer, MassRevocationAnswer, RevokedAnswer
from connectors.registration.faults import Refusal
from schemas.certificate_messages import (
    CertificateRevoked,
    ConfirmMassRevocation,
    ExceptionGranted,
    GrantException,
    MassRevocationConfirmed,
    MassRevocationRequested,
    RequestMassRevocation,
    RevokeCertificate,
)
from schemas.messages import Command, Event


class Certificates:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def revoke(self, request: Request) -> Answer:
        """`POST /v1/certificates/{serial}/revoke`."""
        actor = self._desk.admin(request)
        (serial,) = request.arguments
        asked = await self._desk.reader.read(request, RevokeRequest)
        stamp = self._desk.commands.stamp(request, actor, actor).of()
        command = RevokeCertificate(**stamp, serial=_serial(serial), reason=asked.reason, detail=asked.detail)
        event = await self._asked(command, request)
        assert isinstance(event, CertificateRevoked)
        return told(RevokedAnswer(event.serial, event.device_id, event.reason, event.leaf_index))

    async def grant(self, request: Request) -> Answer:
        """`POST /v1/certificates/{serial}/exception`."""
        actor = self._desk.admin(request)
        (serial,) = request.arguments
        asked = await self._desk.reader.read(request, ExceptionRequest)
        stamp = self._desk.commands.stamp(request, actor, actor)
        until = _microseconds("$.until", asked.until)
        if until <= stamp.issued_at:
            raise reading.invalid("$.until", "has passed")
        command = GrantException(**stamp.of(), serial=_serial(serial), until=until, detail=asked.detail)
        event = await self._asked(command, request)
        assert isinstance(event, ExceptionGranted)
        return told(ExceptionAnswer(event.serial, event.device_id, moment(event.until), event.leaf_index))

    async def request_many(self, request: Request) -> Answer:
        """`POST /v1/certificates/revocations`: they are counted; nothing is revoked yet."""
        actor = self._desk.admin(request)
        asked = await self._desk.reader.read(request, MassRevocationRequest)
        if (asked.value is None) != (asked.selector == "all"):
            raise reading.invalid("$.value", "names the owner or model; of all there is none")
        stamp = self._desk.commands.stamp(request, actor, actor)
        command = RequestMassRevocation(
            **stamp.of(),
            revocation_id=stamp.base,
            selector=asked.selector,
            value=asked.value,
            reason=asked.reason,
        )
        event = await self._asked(command, request)
        assert isinstance(event, MassRevocationRequested)
        return told(MassRevocationAnswer(event.revocation_id, event.certificates, moment(event.expires_at)), 201)

    async def confirm_many(self, request: Request) -> Answer:
        """`POST /v1/certificates/revocations/{id}/confirm`."""
        actor = self._desk.admin(request)
        (revocation_id,) = request.arguments
        asked = await self._desk.reader.read(request, ConfirmRevocation)
        stamp = self._desk.commands.stamp(request, actor, actor).of()
        command = ConfirmMassRevocation(**stamp, revocation_id=_uuid(revocation_id), expected=asked.certificates)
        event = await self._asked(command, request)
        assert isinstance(event, MassRevocationConfirmed)
        return told(MassRevocationAnswer(event.revocation_id, event.certificates))

    async def _asked(self, command: Command, request: Request) -> Event:
        try:
            return await self._desk.commands.ask(command, request)
        except Refusal as refusal:
            raise refusal.for_administrators() from None


def _serial(text: str) -> str:
    if not 1 <= len(text) <= 40 or set(text) - set("0123456789abcdef"):
        raise reading.bad_path("serial", "is 1 to 40 lower-case hexadecimal digits")
    return text


def _uuid(text: str) -> str:
    if reading.UUID.fullmatch(text) is None:
        raise reading.bad_path("id", "is no UUID")
    return text


def _microseconds(path: str, text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError
        moment = int(found.timestamp() * 1e6)
    except (ValueError, OverflowError):
        raise reading.invalid(path, "is no time with a zone, such as 2026-01-31T12:00:00Z") from None
    if not 0 <= moment <= 7_258_118_399_999_999:
        raise reading.invalid(path, "is before 1970 or after 2199")
    return moment
