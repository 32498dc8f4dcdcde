"""Users' claims: a token as a QR code, a PIN, and how far the claim has come."""

from typing import Any

from connectors.http.request import Answer, Request
from connectors.registration import qr
from connectors.registration.bodies import ClaimTokenRequest
from connectors.registration.desk import Desk, moment, told
from connectors.registration.documents import ClaimStatus, ClaimTokenAnswer
from connectors.registration.faults import RegistrationFault
from connectors.registration.lookups import Claim, Device
from connectors.registration.secrets import ClaimSecrets
from schemas.registration_commands import IssueClaimToken
from schemas.registration_events import ClaimTokenIssued

STATUS_PATH = "/v1/devices/claim-status/{id}"


class Claims:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._codes = qr.QrCodes()

    async def issue(self, request: Request) -> Answer:
        """`POST /v1/devices/claim-token`."""
        desk = self._desk
        owner = desk.user(request)
        asked = await desk.reader.read(request, ClaimTokenRequest)
        stamp = desk.commands.stamp(request, owner, owner)
        claim_id = f"claim-{stamp.base}"
        made = desk.secrets.claim(claim_id, stamp.repeatable)
        has_pin = asked.registration_type != "qr_code"
        command = IssueClaimToken(
            **stamp.of(),
            claim_id=claim_id,
            owner=owner,
            registration_type=asked.registration_type,
            token_hash=desk.secrets.token_hash(made.token),
            pin_hash=desk.secrets.pin_hash(claim_id, made.pin) if has_pin else None,
            device_type=asked.device_type,
            expires_at=stamp.issued_at + asked.expires_in * 1_000_000,
            latitude=asked.location.latitude if asked.location else None,
            longitude=asked.location.longitude if asked.location else None,
        )
        issued = await desk.commands.ask(command, request)
        assert isinstance(issued, ClaimTokenIssued)
        code = None if issued.registration_type == "pin_code" else self._codes.modules(made.token)
        return told(_answer(issued, made, code), 201)

    async def status(self, request: Request) -> Answer:
        """`GET /v1/devices/claim-status/{id}`: a claim of somebody else is none."""
        desk = self._desk
        desk.user(request)
        (claim_id,) = request.arguments
        found = await desk.lookups.claim(claim_id)
        if found is None or not desk.is_told(request, found.owner):
            raise RegistrationFault("CLAIM_UNKNOWN")
        device = await desk.lookups.hardware(found.hardware_id) if found.hardware_id else None
        return told(status_of(found, device))


PROGRESS = {"session": 40, "challenged": 60, "passed": 75, "certified": 90, "activated": 100}


def status_of(claim: Claim, device: Device | None) -> ClaimStatus:
    """How far a claim is; `device` is the one that has spent it."""

    def told(status: Any, progress: int, error: str | None = None) -> ClaimStatus:
        own = device if status == "success" else None
        name = own.device_id if own else None
        return ClaimStatus(status, name, name, progress, error, moment(claim.expires_at))

    if claim.locked:
        return told("locked", 0, "CLAIM_LOCKED")
    if claim.session_id is None:
        if claim.expired:
            return told("expired", 0, "REG-002")
        return told("scanning", 20) if claim.tried else told("pending", 0)
    if device is None or device.session_id != claim.session_id or device.stage is None:
        return told("claiming", 50)
    if device.stage == "failed":
        return told("failed", 0, device.failure)
    return told("success" if device.stage in ("certified", "activated") else "claiming", PROGRESS[device.stage])


def _answer(issued: ClaimTokenIssued, made: ClaimSecrets, code: qr.Modules | None) -> ClaimTokenAnswer:
    return ClaimTokenAnswer(
        claim_token=made.token,
        claim_id=issued.claim_id,
        expires_in=(issued.expires_at - issued.occurred_at) // 1_000_000,
        expires_at=moment(issued.expires_at),
        fallback_pin=None if issued.pin_hash is None else made.pin,
        qr_code_url=None if code is None else qr.svg(code),
        qr_code_png=None if code is None else qr.png(code),
        status_url=STATUS_PATH.replace("{id}", issued.claim_id),
    )
