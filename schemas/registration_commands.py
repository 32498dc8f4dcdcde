"""Commands of fleet.registration.commands, as the avsc of the same name declare them (field docs are there)."""

from schemas.message_values import Credential, DeviceState, KeyMode, Purpose, RegistrationType, RevocationReason
from schemas.messages import Command


class PreRegisterDevice(Command, frozen=True, kw_only=True):
    """An administrator makes a device known before it is first seen."""

    hardware_id: str
    public_key: bytes
    owner: str | None
    model: str | None


class IssueClaimToken(Command, frozen=True, kw_only=True):
    """A user wants to claim a device: a token and a PIN are to be good for one."""

    claim_id: str
    owner: str
    registration_type: RegistrationType
    token_hash: bytes
    pin_hash: bytes | None
    device_type: str | None
    expires_at: int
    latitude: float | None
    longitude: float | None


class SpendClaim(Command, frozen=True, kw_only=True):
    """A device presents the token or the PIN of a claim."""

    claim_id: str
    credential: Credential
    credential_hash: bytes
    hardware_id: str
    session_id: str
    fingerprint: bytes
    nonce: bytes


class OpenSession(Command, frozen=True, kw_only=True):
    """A device asks to be registered."""

    hardware_id: str
    session_id: str
    device_id: str
    public_key: bytes
    fingerprint: bytes
    model: str
    firmware_version: str
    hardware_revision: str | None
    capabilities: tuple[str, ...]
    expires_at: int


class AdmitClaim(Command, frozen=True, kw_only=True):
    """A claim was spent for a device: it may go on to the challenge."""

    hardware_id: str
    session_id: str
    claim_id: str
    owner: str
    fingerprint: bytes
    nonce: bytes


class ProvePossession(Command, frozen=True, kw_only=True):
    """A pre-registered device presents the signature that opens its registration."""

    hardware_id: str
    session_id: str
    proof: bytes
    fingerprint: bytes
    nonce: bytes


class ConfirmChallenge(Command, frozen=True, kw_only=True):
    """A device presents its signature over the challenge and asks for a certificate."""

    hardware_id: str
    session_id: str
    signature: bytes
    key_mode: KeyMode
    csr: bytes | None


class RecordCertificate(Command, frozen=True, kw_only=True):
    """The ledger holds a certificate for a device: its registration or renewal can be completed."""

    hardware_id: str
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


class RecordCertificateFailure(Command, frozen=True, kw_only=True):
    """No certificate could be made for a device."""

    hardware_id: str
    session_id: str
    purpose: Purpose
    detail: str


class RecordRevocation(Command, frozen=True, kw_only=True):
    """A certificate of a device was revoked in the ledger."""

    hardware_id: str
    serial: str
    reason: RevocationReason


class RequestRenewal(Command, frozen=True, kw_only=True):
    """A device, known by its certificate, asks for a new one."""

    hardware_id: str
    device_id: str
    session_id: str
    purpose: Purpose
    serial: str
    csr: bytes
    signature: bytes | None


class ActivateDevice(Command, frozen=True, kw_only=True):
    """A device that has its certificate sent its first heartbeat."""

    hardware_id: str
    device_id: str


class ReportState(Command, frozen=True, kw_only=True):
    """A device tells which state of its life it has come to."""

    hardware_id: str
    state: DeviceState
    detail: str | None


class ResetDevice(Command, frozen=True, kw_only=True):
    """The owner or an administrator gives a device back: it may be registered anew."""

    hardware_id: str
    detail: str | None
