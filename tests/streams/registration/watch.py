"""What holds after every single decision, whatever was decided before. Worked out from the log alone, by other means than
the decider's own."""

from dataclasses import dataclass, field

import msgspec

from connectors import keys
from schemas import proofs
from schemas.certificate_messages import IssueCertificate, RevokeCertificate
from schemas.messages import Command, Event, Message
from schemas.registration_commands import AdmitClaim, ConfirmChallenge, RecordCertificate, SpendClaim
from schemas.registration_errors import ERRORS
from schemas.registration_events import (
    CertificateRecorded,
    ChallengeIssued,
    ChallengePassed,
    ClaimAttemptFailed,
    ClaimLocked,
    ClaimSpent,
    ClaimTokenIssued,
    CommandRefused,
    DeviceReset,
    RenewalRequested,
    SessionOpened,
)
from streams.identities import event_id
from streams.machine import Addressed
from streams.registration.lifecycle import path
from streams.registration.state import Claim, Device, State
from tests.streams.registration.actors import encoded

MOST_STATE = 1024
DECODER = msgspec.msgpack.Decoder(State)
BOUND = ("device_id", "owner", "fingerprint")


@dataclass
class Watch:
    tokens: dict[str, ClaimTokenIssued] = field(default_factory=dict)
    bearers: dict[str, tuple[str, str]] = field(default_factory=dict)
    wrong_pins: dict[str, int] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    sessions: dict[str, SessionOpened] = field(default_factory=dict)
    nonces: dict[str, ChallengeIssued] = field(default_factory=dict)
    passed: set[str] = field(default_factory=set)
    renewals: set[str] = field(default_factory=set)
    certified: dict[str, str] = field(default_factory=dict)

    def see(self, before: State | None, command: Command, event: Event, after: State | None) -> None:
        """One decision."""
        assert event.event_id == event_id(command.command_id, 0)
        assert (event.command_id, event.correlation_id) == (command.command_id, command.correlation_id)
        assert event.occurred_at == event.received_at == command.issued_at
        assert encoded(event)
        self._state(before, event, after)
        match event:
            case CommandRefused():
                assert after == before
                assert event.code in ERRORS
                assert event.detail
                assert event.code == "REG-003" or (event.owner, event.device_id) == (None, None)
            case ClaimTokenIssued() | ClaimSpent() | ClaimAttemptFailed() | ClaimLocked():
                self._claim(command, event)
            case SessionOpened():
                assert event.session_id not in self.sessions
                self._opened(before, event)
                self.sessions[event.session_id] = event
            case ChallengeIssued():
                self._challenge(command, event)
            case ChallengePassed():
                self._pass(command, event)
            case RenewalRequested():
                assert isinstance(before, Device)
                assert event.serial == before.serial
                self.renewals.add(event.session_id)
            case CertificateRecorded():
                assert event.session_id in (self.passed if event.purpose == "registration" else self.renewals)
                assert self.certified.setdefault(event.session_id, event.serial) == event.serial

    def _state(self, before: State | None, event: Event, after: State | None) -> None:
        if after is None:
            return
        packed = msgspec.msgpack.encode(after)
        assert len(packed) < MOST_STATE
        assert DECODER.decode(packed) == after
        if not isinstance(after, Device):
            assert isinstance(after, Claim)
            return
        known = before if isinstance(before, Device) else Device()
        path(known.lifecycle, after.lifecycle)  # every step is a walk of legal ones
        if isinstance(event, DeviceReset):
            return
        for name in BOUND:  # one owner, one fingerprint, one id, until a reset
            assert getattr(known, name) is None or getattr(after, name) == getattr(known, name)
        if not isinstance(event, CertificateRecorded):  # one active key, which comes with a certificate only
            assert (after.serial, after.public_key) in ((known.serial, known.public_key), (None, None))
        assert (after.serial is None) == (after.public_key is None)

    def _claim(self, command: Command, event: Event) -> None:
        claim_id: str = event.claim_id  # type: ignore[attr-defined]
        if isinstance(event, ClaimTokenIssued):
            assert claim_id not in self.tokens
            self.tokens[claim_id] = event
            return
        assert isinstance(command, SpendClaim)
        token, first = self.tokens[claim_id], claim_id not in self.bearers
        right = command.credential_hash == (token.token_hash if command.credential == "token" else token.pin_hash)
        assert claim_id not in self.locked
        if isinstance(event, ClaimSpent):
            assert right
            assert not first or command.issued_at <= token.expires_at
            bearer = (event.hardware_id, event.session_id)
            assert self.bearers.setdefault(claim_id, bearer) == bearer
            return
        assert first
        assert not right
        assert command.credential == "pin"
        self.wrong_pins[claim_id] = self.wrong_pins.get(claim_id, 0) + 1
        assert isinstance(event, ClaimLocked) == (self.wrong_pins[claim_id] == 5)
        if isinstance(event, ClaimLocked):
            self.locked.add(claim_id)

    @staticmethod
    def _opened(before: State | None, event: SessionOpened) -> None:
        """Not for a device in service, and with the key that it is known by."""
        if not isinstance(before, Device):
            return
        assert before.lifecycle not in ("operational", "updating", "reconnecting")
        assert before.known is None or before.known.key_hash == keys.key_hash(event.public_key)
        assert before.barred != keys.key_hash(event.public_key)

    def _challenge(self, command: Command, event: ChallengeIssued) -> None:
        session = self.sessions[event.session_id]
        assert event.public_key == session.public_key
        assert command.issued_at <= session.expires_at
        first = self.nonces.setdefault(event.session_id, event)
        assert (first.nonce, first.owner, first.via, first.claim_id) == (event.nonce, event.owner, event.via, event.claim_id)
        if event.via == "claim":
            assert isinstance(command, AdmitClaim)
            assert event.claim_id is not None
            assert self.bearers[event.claim_id] == (event.hardware_id, event.session_id)

    def _pass(self, command: Command, event: ChallengePassed) -> None:
        """Every session passes once, by its key's signature over its nonce."""
        assert isinstance(command, ConfirmChallenge)
        assert event.session_id not in self.passed
        self.passed.add(event.session_id)
        session, nonce = self.sessions[event.session_id], self.nonces[event.session_id].nonce
        message = proofs.challenge(event.session_id, nonce, session.public_key, session.fingerprint)
        assert keys.verifies(keys.load(session.public_key), command.signature, message)
        assert command.issued_at <= session.expires_at

    def follow(self, command: Command, event: Event, records: list[Addressed]) -> None:
        """What follows from the event, just decided."""
        messages: list[Message] = [record.message for record in records]
        assert all(encoded(message) for message in messages)
        issues = [message for message in messages if isinstance(message, IssueCertificate)]
        assert len(issues) == isinstance(event, ChallengePassed | RenewalRequested)
        assert [m.session_id for m in issues] == [event.session_id for _ in issues]  # type: ignore[attr-defined]
        if isinstance(command, RecordCertificate) and isinstance(event, CommandRefused):
            serials = [message.serial for message in messages if isinstance(message, RevokeCertificate)]
            assert serials == ([] if event.serial is None else [command.serial])
