"""Events of fleet.registration.events, as the avsc of the same name declare them (field docs are there)."""

from schemas.message_values import Admission, Credential, DeviceState, KeyMode, Purpose, RegistrationType, RevocationReason
from schemas.messages import Event


class DevicePreRegistered(Event, frozen=True, kw_only=True):
    """A device was made known by an administrator."""

    hardware_id: str
    public_key: bytes
    key_algorithm: str
    owner: str | None
    model: str | None


class ClaimTokenIssued(Event, frozen=True, kw_only=True):
    """A user may claim one device."""

    claim_id: str
    owner: str
    registration_type: RegistrationType
    token_hash: bytes
    pin_hash: bytes | None
    device_type: str | None
    expires_at: int
    latitude: float | None
    longitude: float | None


class ClaimSpent(Event, frozen=True, kw_only=True):
    """A claim was used up by a device."""

    claim_id: str
    hardware_id: str
    session_id: str
    owner: str
    credential: Credential
    fingerprint: bytes
    nonce: bytes


class ClaimAttemptFailed(Event, frozen=True, kw_only=True):
    """What was presented for a claim was not what it needs."""

    claim_id: str
    hardware_id: str
    credential: Credential
    attempts_left: int


class ClaimLocked(Event, frozen=True, kw_only=True):
    """Too many wrong PINs: the claim is worthless."""

    claim_id: str
    hardware_id: str


class SessionOpened(Event, frozen=True, kw_only=True):
    """A device began to register."""

    hardware_id: str
    device_id: str
    session_id: str
    public_key: bytes
    key_algorithm: str
    fingerprint: bytes
    model: str
    firmware_version: str
    hardware_revision: str | None
    capabilities: tuple[str, ...]
    expires_at: int


class ChallengeIssued(Event, frozen=True, kw_only=True):
    """A device was admitted and has to sign a nonce."""

    hardware_id: str
    device_id: str
    session_id: str
    via: Admission
    claim_id: str | None
    owner: str | None
    nonce: bytes
    public_key: bytes


class ChallengePassed(Event, frozen=True, kw_only=True):
    """A device proved that it has its key: a certificate may be issued."""

    hardware_id: str
    device_id: str
    session_id: str
    key_mode: KeyMode
    csr: bytes | None


class ChallengeFailed(Event, frozen=True, kw_only=True):
    """A device did not prove that it has its key."""

    hardware_id: str
    device_id: str
    session_id: str
    attempts_left: int
    detail: str


class CertificateRecorded(Event, frozen=True, kw_only=True):
    """A device has a certificate that the ledger shows."""

    hardware_id: str
    device_id: str
    session_id: str
    purpose: Purpose
    serial: str
    not_before: int
    not_after: int
    certificate: bytes
    chain: tuple[bytes, ...]
    leaf_index: int
    tree_size: int
    inclusion_proof: tuple[bytes, ...]
    checkpoint: str
    sealed_key: bytes | None


class CertificateFailed(Event, frozen=True, kw_only=True):
    """No certificate could be made (REG-008)."""

    hardware_id: str
    device_id: str
    session_id: str
    purpose: Purpose
    detail: str


class CertificateWithdrawn(Event, frozen=True, kw_only=True):
    """A certificate of the device was revoked."""

    hardware_id: str
    device_id: str
    serial: str
    reason: RevocationReason


class RenewalRequested(Event, frozen=True, kw_only=True):
    """A device may have a new certificate."""

    hardware_id: str
    device_id: str
    session_id: str
    purpose: Purpose
    serial: str
    csr: bytes


class DeviceActivated(Event, frozen=True, kw_only=True):
    """A registered device sent its first heartbeat."""

    hardware_id: str
    device_id: str


class DeviceStateChanged(Event, frozen=True, kw_only=True):
    """A device came to another state of its life."""

    hardware_id: str
    device_id: str | None
    previous: DeviceState
    state: DeviceState
    detail: str | None


class DeviceReset(Event, frozen=True, kw_only=True):
    """A device was given back and may be registered anew."""

    hardware_id: str
    device_id: str | None
    serial: str | None
    detail: str | None


class CommandRefused(Event, frozen=True, kw_only=True):
    """A command was refused; nothing else changed."""

    hardware_id: str | None
    claim_id: str | None
    command: str
    code: str
    detail: str
    owner: str | None
    device_id: str | None
    serial: str | None = None


class CommandRepeated(Event, frozen=True, kw_only=True):
    """A command came again and is answered as the first time."""

    hardware_id: str | None
    claim_id: str | None
    answer_offset: int
