"""From first contact to a passed challenge: who may be registered, with which key, for whom.

Nothing that a device has not proved binds it: fingerprint, key and owner are kept when its challenge is passed. Until
then whoever asks again with a new session takes the place of the one before, and learns nothing by it.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from connectors import keys
from connectors.csr import BadCsr, checked_csr
from schemas import proofs
from schemas.message_values import Admission
from schemas.registration_commands import AdmitClaim, ConfirmChallenge, OpenSession, PreRegisterDevice, ProvePossession
from schemas.registration_events import ChallengeFailed, ChallengeIssued, ChallengePassed, DevicePreRegistered, SessionOpened
from streams.identities import headers
from streams.registration.claims import NONCE_BYTES
from streams.registration.lifecycle import IN_SERVICE
from streams.registration.refusal import Refusal, check_hardware_id, device_id_of
from streams.registration.state import Challenge, Device, Session

SESSION_LIFE = 15 * 60 * 1_000_000  # microseconds
FINGERPRINT_BYTES = 32


def pre_register(device: Device, command: PreRegisterDevice) -> DevicePreRegistered:
    """A device that passed no challenge yet may be made known, and again with other words."""
    check_hardware_id(command.hardware_id)
    key = _acceptable(device, command.public_key)
    if device.fingerprint is not None:
        raise Refusal(
            "REG-003",
            f"hardware_id: {command.hardware_id} is registered; it is to be reset first",
            owner=device.owner,
            device_id=device.device_id,
        )
    return DevicePreRegistered(
        **headers(command, 0),
        hardware_id=command.hardware_id,
        public_key=keys.der(key),
        key_algorithm=keys.algorithm(key),
        owner=command.owner,
        model=command.model,
    )


def open_session(device: Device, command: OpenSession) -> SessionOpened:
    """A session for whoever names a device that is not in service, with the key and the fingerprint that it is known by.
    Its id is the ingress's, another one for each command."""
    check_hardware_id(command.hardware_id)
    key = _acceptable(device, command.public_key)
    public_key = keys.der(key)
    if len(command.fingerprint) != FINGERPRINT_BYTES:
        raise Refusal("REG-001", f"fingerprint: {len(command.fingerprint)} bytes instead of {FINGERPRINT_BYTES}")
    if device.fingerprint is not None and device.fingerprint != command.fingerprint:
        raise Refusal("REG-001", f"fingerprint: not the one that {command.hardware_id} is bound to")
    if device.lifecycle in IN_SERVICE:
        raise Refusal(
            "REG-003",
            f"hardware_id: {command.hardware_id} is {device.lifecycle}; it is to be reset first",
            owner=device.owner,
            device_id=device.device_id,
        )
    if device.known is not None and device.known.key_hash != keys.key_hash(public_key):
        raise Refusal("NOT_PRE_REGISTERED", f"public_key: {command.hardware_id} is pre-registered with another key")
    if command.session_id in (device.session and device.session.session_id, device.certified):
        raise Refusal("SESSION_UNKNOWN", f"session_id: {command.session_id} was opened before")
    if command.expires_at <= command.issued_at:
        raise Refusal("REG-007", "expires_at: the session would be over before it began")
    return SessionOpened(
        **headers(command, 0),
        hardware_id=command.hardware_id,
        device_id=device.device_id or command.device_id,
        session_id=command.session_id,
        public_key=public_key,
        key_algorithm=keys.algorithm(key),
        fingerprint=command.fingerprint,
        model=command.model,
        firmware_version=command.firmware_version,
        hardware_revision=command.hardware_revision,
        capabilities=command.capabilities,
        expires_at=min(command.expires_at, command.issued_at + SESSION_LIFE),
    )


def admit(device: Device, command: AdmitClaim) -> ChallengeIssued:
    """A claim was spent for the session: its owner gets the device, if it is nobody else's."""
    session = _live(device, command)
    for owner, what in ((device.owner, "owned by"), (device.known and device.known.owner, "pre-registered for")):
        if owner is not None and owner != command.owner:
            raise Refusal("NOT_OWNER", f"owner: {command.hardware_id} is {what} somebody else")
    return _challenge(device, session, command, Challenge("claim", command.claim_id, command.owner, command.nonce))


def prove(device: Device, command: ProvePossession) -> ChallengeIssued:
    """A pre-registered device is admitted with the key it is known by. The proof may be a replayed one: the challenge is
    what counts."""
    session = _live(device, command)
    if device.known is None or device.known.key_hash != keys.key_hash(session.public_key):
        raise Refusal("NOT_PRE_REGISTERED", f"hardware_id: {command.hardware_id} is not pre-registered with this key")
    if not keys.verifies(keys.load(session.public_key), command.proof, proofs.opening(command.hardware_id)):
        raise Refusal("REG-004", "proof: not the pre-registered key's signature over register: and the hardware id")
    owner = device.owner or device.known.owner
    return _challenge(device, session, command, Challenge("pre_registration", None, owner, command.nonce))


def confirm(device: Device, command: ConfirmChallenge) -> ChallengePassed | ChallengeFailed:
    """The one thing that a certificate is issued for: the session's key signed this session's nonce, key and fingerprint."""
    session = _live_session(device, command.session_id, command.issued_at)
    challenge = session.challenge
    if challenge is None:
        raise Refusal("REG-004", f"session_id: {command.session_id} has no challenge to answer yet")
    about, device_id = headers(command, 0), device_id_of(device, command.hardware_id)
    message = proofs.challenge(session.session_id, challenge.nonce, session.public_key, session.fingerprint)
    key = keys.load(session.public_key)
    if not keys.verifies(key, command.signature, message):
        return ChallengeFailed(
            **about,
            hardware_id=command.hardware_id,
            device_id=device_id,
            session_id=session.session_id,
            attempts_left=challenge.attempts_left - 1,
            detail="signature: not the session key's over this session's challenge",
        )
    if command.key_mode == "csr":
        _check_csr(command, session, device_id)
    elif isinstance(key, Ed25519PublicKey):
        raise Refusal("BAD_PUBLIC_KEY", "key_mode: nothing can be sealed for an Ed25519 key; it only signs. Send a CSR")
    return ChallengePassed(
        **about,
        hardware_id=command.hardware_id,
        device_id=device_id,
        session_id=session.session_id,
        key_mode=command.key_mode,
        csr=command.csr if command.key_mode == "csr" else None,
    )


def _check_csr(command: ConfirmChallenge, session: Session, device_id: str) -> None:
    if command.csr is None:
        raise Refusal("BAD_CSR", "csr: there is none")
    try:
        checked_csr(command.csr, session.public_key, (device_id, command.hardware_id))
    except BadCsr as error:
        raise Refusal("BAD_CSR", f"csr: {error}") from None


def _acceptable(device: Device, public_key: bytes) -> keys.PublicKey:
    try:
        key = keys.load(public_key)
    except keys.BadKey as error:
        raise Refusal("BAD_PUBLIC_KEY", f"public_key: {error}") from None
    if device.barred is not None and keys.key_hash(keys.der(key)) == device.barred:
        raise Refusal("BAD_PUBLIC_KEY", "public_key: its certificate was revoked as the key was compromised")
    return key


def _live_session(device: Device, session_id: str, now: int) -> Session:
    """The session, if it is the device's present one, its challenge is not passed and its time not over."""
    session = device.session
    if session is None or session.session_id != session_id:
        raise Refusal("SESSION_UNKNOWN", f"session_id: {session_id} is not the open session of the device")
    if session.passed is not None:
        raise Refusal("REG-004", f"session_id: {session_id} has passed its challenge; its nonce is worthless")
    if now > session.expires_at:
        raise Refusal("REG-002", f"session_id: {session_id} has expired")
    return session


def _live(device: Device, command: AdmitClaim | ProvePossession) -> Session:
    session = _live_session(device, command.session_id, command.issued_at)
    if session.fingerprint != command.fingerprint:
        raise Refusal("REG-001", f"fingerprint: not the one that session {command.session_id} was opened with")
    if len(command.nonce) != NONCE_BYTES:
        raise Refusal("REG-007", f"nonce: {len(command.nonce)} bytes instead of {NONCE_BYTES}")
    return session


def _challenge(
    device: Device, session: Session, command: AdmitClaim | ProvePossession, challenge: Challenge
) -> ChallengeIssued:
    """A session is admitted once; the same admission again is given the nonce that is out already."""
    issued: Challenge | None = session.challenge
    if issued is not None and (issued.via, issued.claim_id) != (challenge.via, challenge.claim_id):
        raise Refusal("SESSION_UNKNOWN", f"session_id: {session.session_id} was admitted in another way already")
    via: Admission = challenge.via
    return ChallengeIssued(
        **headers(command, 0),
        hardware_id=command.hardware_id,
        device_id=device_id_of(device, command.hardware_id),
        session_id=session.session_id,
        via=via,
        claim_id=challenge.claim_id,
        owner=challenge.owner,
        nonce=challenge.nonce if issued is None else issued.nonce,
        public_key=session.public_key,
    )
