"""A device registers: session, admission, challenge, certificate. The proofs are the credentials: no key is asked for."""

import base64
import secrets
from typing import Any

from connectors.http.request import Answer, Request
from connectors.registration import faults, reading
from connectors.registration.bodies import ClaimRequest, ConfirmRequest, InitiateRequest, ValidateRequest
from connectors.registration.commands import Stamp
from connectors.registration.desk import SESSION_MICROSECONDS, Desk, moment, told
from connectors.registration.documents import CertificateAnswer, ChallengeAnswer, LedgerProof, SessionAnswer
from connectors.registration.faults import Refusal, RegistrationFault
from connectors.registration.lookups import Device, device_id_of
from schemas import proofs
from schemas.messages import Command, Event
from schemas.registration_commands import ConfirmChallenge, OpenSession, ProvePossession, SpendClaim
from schemas.registration_events import (
    CertificateFailed,
    CertificateRecorded,
    ChallengeFailed,
    ChallengeIssued,
    ClaimAttemptFailed,
    ClaimLocked,
    SessionOpened,
)

VALIDATE, CONFIRM = "/v1/devices/register/validate", "/v1/devices/register/confirm"
NONCE_BYTES = 32
PEM_WIDTH = 64


class Sessions:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def initiate(self, request: Request) -> Answer:
        """`POST /v1/devices/register/initiate`."""
        asked = await self._desk.reader.read(request, InitiateRequest)
        opened = await self._opened(request, asked, self._stamp(request, _who(asked)))
        made = SessionAnswer(opened.session_id, opened.device_id, moment(opened.expires_at), VALIDATE)
        return told(made, 201)

    async def claim(self, request: Request) -> Answer:
        """`POST /v1/devices/claim`: `initiate` and `validate` in one."""
        asked = await self._desk.reader.read(request, ClaimRequest)
        stamp = self._stamp(request, _who(asked))
        opened = await self._opened(request, asked, stamp, "open")
        spend = self._spend(stamp.of("spend"), asked, opened.session_id, asked.claim_token)
        return told(await self._challenge(request, spend))

    async def validate(self, request: Request) -> Answer:
        """`POST /v1/devices/register/validate`."""
        asked = await self._desk.reader.read(request, ValidateRequest)
        stamp = self._stamp(request, f"{asked.hardware_id}\0{asked.session_id}").of()
        token, claim, pin, proof = asked.claim_token, asked.claim_id, asked.pin, asked.proof
        command: Command
        if token is not None and claim is None and pin is None and proof is None:
            command = self._spend(stamp, asked, asked.session_id, token)
        elif claim is not None and pin is not None and token is None and proof is None:
            command = self._spend(stamp, asked, asked.session_id, claim, pin)
        elif proof is not None and token is None and claim is None and pin is None:
            command = ProvePossession(
                **stamp,
                hardware_id=asked.hardware_id,
                session_id=asked.session_id,
                proof=reading.binary("$.proof", proof),
                fingerprint=reading.fingerprint(asked.hardware_fingerprint, asked.hardware_id),
                nonce=secrets.token_bytes(NONCE_BYTES),
            )
        else:
            raise reading.invalid("$", "needs one of claim_token, claim_id with pin, proof")
        return told(await self._challenge(request, command))

    async def confirm(self, request: Request) -> Answer:
        """`POST /v1/devices/register/confirm`."""
        asked = await self._desk.reader.read(request, ConfirmRequest)
        if (asked.csr is not None) == asked.server_side_key:
            raise reading.invalid("$", "needs one of csr, server_side_key: true")
        command = ConfirmChallenge(
            **self._stamp(request, f"{asked.hardware_id}\0{asked.session_id}").of(),
            hardware_id=asked.hardware_id,
            session_id=asked.session_id,
            signature=reading.binary("$.signature", asked.signature),
            key_mode="server" if asked.server_side_key else "csr",
            csr=None if asked.csr is None else reading.csr(asked.csr),
        )
        event = await self._asked(command, request)
        if isinstance(event, ChallengeFailed):
            self._desk.seen(request, "bad_signature", event.hardware_id, f"challenge: {event.detail}")
        return told(await self.certificate(event))

    async def certificate(self, event: Event) -> CertificateAnswer:
        """What is told of a certificate that was made.

        Raises:
            RegistrationFault: none was.
        """
        if isinstance(event, ChallengeFailed):
            raise RegistrationFault("REG-004", attempts_left=event.attempts_left)
        if isinstance(event, CertificateFailed):
            raise faults.failed(event.detail)
        assert isinstance(event, CertificateRecorded)
        proof = [_text(one) for one in event.inclusion_proof]
        configured = await self._configuration(event)
        return CertificateAnswer(
            device_id=event.device_id,
            device_certificate=pem(event.certificate),
            ca_certificate="".join(map(pem, event.chain)),
            serial=event.serial,
            not_before=moment(event.not_before),
            not_after=moment(event.not_after),
            sealed_key=None if event.sealed_key is None else _text(event.sealed_key),
            ledger=LedgerProof(event.leaf_index, event.tree_size, proof, event.checkpoint),
            api_endpoints=configured["network"]["api_endpoints"],
            initial_config=configured,
        )

    async def _configuration(self, event: CertificateRecorded) -> dict[str, Any]:
        """What the device begins with. A view that is away or behind is no reason to keep its certificate from it: it then
        begins with the defaults, and reads its configuration later."""
        try:
            known = await self._desk.lookups.hardware(event.hardware_id)
        except RegistrationFault:
            known = None
        return self._desk.configurations.of(known or Device(event.hardware_id, event.device_id, None, None, (), None, None))

    def _stamp(self, request: Request, who: str) -> Stamp:
        return self._desk.commands.stamp(request, who, "device")

    async def _opened(self, request: Request, asked: InitiateRequest, stamp: Stamp, name: str = "") -> SessionOpened:
        key = reading.public_key(asked.public_key)
        info = asked.device_info
        command = OpenSession(
            **stamp.of(name),
            hardware_id=asked.hardware_id,
            session_id=self._desk.commands.new_id(),
            device_id=device_id_of(asked.hardware_id),
            public_key=key,
            fingerprint=reading.fingerprint(asked.hardware_fingerprint, asked.hardware_id),
            model=info.model,
            firmware_version=info.firmware_version,
            hardware_revision=info.hardware_revision,
            capabilities=tuple(info.capabilities),
            expires_at=stamp.issued_at + SESSION_MICROSECONDS,
        )
        opened = await self._asked(command, request)
        assert isinstance(opened, SessionOpened)
        return opened

    def _spend(
        self, stamp: dict[str, Any], asked: ClaimRequest | ValidateRequest, session: str, claim: str, pin: str | None = None
    ) -> SpendClaim:
        """`claim`: the token, or with a PIN the claim's id."""
        kept = self._desk.secrets
        return SpendClaim(
            **stamp,
            claim_id=kept.claim_of(claim),
            credential="token" if pin is None else "pin",
            credential_hash=kept.token_hash(claim) if pin is None else kept.pin_hash(claim, pin),
            hardware_id=asked.hardware_id,
            session_id=session,
            fingerprint=reading.fingerprint(asked.hardware_fingerprint, asked.hardware_id),
            nonce=secrets.token_bytes(NONCE_BYTES),
        )

    async def _challenge(self, request: Request, command: SpendClaim | ProvePossession) -> ChallengeAnswer:
        event = await self._asked(command, request)
        if isinstance(event, ClaimAttemptFailed):
            raise RegistrationFault("CLAIM_WRONG", attempts_left=event.attempts_left)
        if isinstance(event, ClaimLocked):
            self._desk.seen(request, "pin_locked", event.claim_id, f"by {event.hardware_id}: too many wrong PINs")
            raise RegistrationFault("CLAIM_LOCKED")
        if isinstance(event, ChallengeFailed):
            raise RegistrationFault("REG-004", attempts_left=event.attempts_left)
        assert isinstance(event, ChallengeIssued)
        signed = proofs.challenge(event.session_id, event.nonce, event.public_key, command.fingerprint)
        return ChallengeAnswer(event.session_id, event.device_id, _text(event.nonce), _text(signed), CONFIRM)

    async def _asked(self, command: Command, request: Request) -> Event:
        try:
            return await self._desk.commands.ask(command, request)
        except Refusal as refusal:
            if refusal.event.code == "BAD_CSR":
                self._desk.seen(request, "bad_csr", refusal.event.hardware_id or "", refusal.event.detail)
            code = faults.SAME_TO_STRANGERS.get(refusal.event.code)
            if code is not None:
                raise RegistrationFault(code) from None
            owner = getattr(refusal.event, "owner", None)
            raise refusal.fault(self._desk.is_told(request, owner)) from None


def pem(certificate: bytes) -> str:
    """A certificate (DER) as PEM."""
    text = base64.b64encode(certificate).decode()
    lines = [text[at : at + PEM_WIDTH] for at in range(0, len(text), PEM_WIDTH)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])


def _who(asked: InitiateRequest) -> str:
    """Whose idempotency keys they are: who only knows a device's serial number must not be able to use them up."""
    return f"{asked.hardware_id}\0{asked.public_key}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
