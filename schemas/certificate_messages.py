"""Commands and events of the certificate ledger, as the avsc of the same name declare them (field docs are there)."""

from schemas.message_values import KeyMode, Purpose, RevocationReason, Selector
from schemas.messages import Command, Event


class IssueCertificate(Command, frozen=True, kw_only=True):
    """A device has passed its challenge: a certificate is to be made and entered."""

    hardware_id: str
    device_id: str
    session_id: str
    purpose: Purpose
    previous_serial: str | None
    public_key: bytes
    key_mode: KeyMode
    csr: bytes | None
    owner: str | None
    model: str | None


class RevokeCertificate(Command, frozen=True, kw_only=True):
    """A certificate is to be worthless from now on."""

    serial: str
    reason: RevocationReason
    detail: str | None


class RequestMassRevocation(Command, frozen=True, kw_only=True):
    """First step of revoking many certificates: they are counted."""

    revocation_id: str
    selector: Selector
    value: str | None
    reason: RevocationReason


class ConfirmMassRevocation(Command, frozen=True, kw_only=True):
    """Second step: they are revoked."""

    revocation_id: str
    expected: int


class ContinueMassRevocation(Command, frozen=True, kw_only=True):
    """A confirmed revocation goes on with the certificates that are left."""

    revocation_id: str


class GrantException(Command, frozen=True, kw_only=True):
    """A device whose certificate has expired may still renew it."""

    serial: str
    until: int
    detail: str


class AddAuthority(Command, frozen=True, kw_only=True):
    """An issuing authority is to be trusted beside the present ones."""

    certificate: bytes


class SignTreeHead(Command, frozen=True, kw_only=True):
    """A fresh tree head is due."""


class CertificateIssued(Event, frozen=True, kw_only=True):
    """A certificate was issued to a device that passed its challenge."""

    leaf_index: int
    serial: str
    device_id: str
    hardware_id: str
    session_id: str
    purpose: Purpose
    previous_serial: str | None
    not_before: int
    not_after: int
    key_algorithm: str
    key_hash: bytes
    issuer_key_id: str
    owner: str | None
    model: str | None
    certificate: bytes


class CertificateRenewed(Event, frozen=True, kw_only=True):
    """A new certificate took the place of an earlier one of the device."""

    leaf_index: int
    serial: str
    device_id: str
    hardware_id: str
    session_id: str
    purpose: Purpose
    previous_serial: str | None
    not_before: int
    not_after: int
    key_algorithm: str
    key_hash: bytes
    issuer_key_id: str
    owner: str | None
    model: str | None
    certificate: bytes


class CertificateRevoked(Event, frozen=True, kw_only=True):
    """A certificate is worthless from now on."""

    leaf_index: int
    serial: str
    device_id: str
    hardware_id: str
    reason: RevocationReason
    detail: str | None
    revocation_id: str | None


class ExceptionGranted(Event, frozen=True, kw_only=True):
    """A device whose certificate has expired may still renew it."""

    leaf_index: int
    serial: str
    device_id: str
    hardware_id: str
    until: int
    detail: str


class AuthorityAdded(Event, frozen=True, kw_only=True):
    """An issuing authority is trusted."""

    leaf_index: int
    key_id: str
    not_before: int
    not_after: int
    certificate: bytes


class MassRevocationRequested(Event, frozen=True, kw_only=True):
    """Many certificates are to be revoked, if it is confirmed."""

    leaf_index: int
    revocation_id: str
    selector: Selector
    value: str | None
    reason: RevocationReason
    certificates: int
    expires_at: int


class MassRevocationConfirmed(Event, frozen=True, kw_only=True):
    """Many certificates were revoked; the events that follow name them."""

    leaf_index: int
    revocation_id: str
    certificates: int


class CertificateRefused(Event, frozen=True, kw_only=True):
    """A command to the ledger was refused; it is no leaf of the tree."""

    command: str
    code: str
    detail: str
    hardware_id: str | None
    serial: str | None


class LedgerCommandRepeated(Event, frozen=True, kw_only=True):
    """A command to the ledger came again and is answered as the first time; it is no leaf of the tree."""

    answer_offset: int


class TreeHeadSigned(Event, frozen=True, kw_only=True):
    """The head of the ledger's Merkle tree at this place of the log; it is no leaf itself."""

    tree_size: int
    root_hash: bytes
    checkpoint: str
