"""The documents that the registration's operations answer with. The OpenAPI document takes their schemas from here."""

from typing import Any, Literal

from msgspec import Struct

from connectors.registration.faults import RegistrationProblem


class ClaimTokenAnswer(Struct):
    """A claim. The token and its PIN are told here and nowhere else; `qr_code_url` (SVG) and `qr_code_png` are the token as
    data URIs, null for `pin_code`; `fallback_pin` is null for `qr_code`. `expires_in` in seconds."""

    claim_token: str
    claim_id: str
    expires_in: int
    expires_at: str
    fallback_pin: str | None
    qr_code_url: str | None
    qr_code_png: str | None
    status_url: str


class ClaimStatus(Struct):
    """How far a claim is; `progress` from 0 to 100."""

    status: Literal["pending", "scanning", "claiming", "success", "expired", "locked", "failed"]
    device_id: str | None
    device_name: str | None
    progress: int
    error: str | None
    expires_at: str


class SessionAnswer(Struct):
    """A registration session has begun."""

    session_id: str
    device_id: str
    expires_at: str
    validation_endpoint: str


class ChallengeAnswer(Struct):
    """The device is admitted and signs `challenge` (Base64 of the exact bytes: see schemas.proofs)."""

    session_id: str
    device_id: str
    nonce: str
    challenge: str
    confirm_endpoint: str


class LedgerProof(Struct):
    """That the ledger holds the certificate (RFC 9162): Base64 hashes, and the signed checkpoint."""

    leaf_index: int
    tree_size: int
    inclusion_proof: list[str]
    checkpoint: str


class CertificateAnswer(Struct):
    """A certificate, and what the device needs to begin. `sealed_key`: CMS, Base64, where the server made the key."""

    device_id: str
    device_certificate: str
    ca_certificate: str
    serial: str
    not_before: str
    not_after: str
    sealed_key: str | None
    ledger: LedgerProof
    api_endpoints: dict[str, str]
    initial_config: dict[str, Any]
    registration_complete: bool = True


class Configuration(Struct):
    """A device's configuration; `version` changes with its content."""

    device_id: str
    version: str
    config: dict[str, Any]


class StateAnswer(Struct):
    """The device's state as recorded."""

    device_id: str
    previous: str
    state: str


class ResetAnswer(Struct):
    """The device was given back; `serial` is of the certificate that is revoked with it."""

    device_id: str
    hardware_id: str
    serial: str | None


class PreRegistered(Struct):
    """A device is known."""

    serial_number: str
    key_algorithm: str
    owner: str | None
    model: str | None


class BadRow(Struct):
    """A row that was not taken; lines count from 1."""

    line: int
    code: str
    message: str


class BulkAnswer(Struct):
    """What became of the rows. `complete` is false where not all were looked at: the request broke off, or nothing can be
    decided just now."""

    accepted: int
    refused: int
    rows: int
    complete: bool
    errors: list[BadRow]


class RevokedAnswer(Struct):
    """A certificate is worthless."""

    serial: str
    device_id: str
    reason: str
    leaf_index: int


class ExceptionAnswer(Struct):
    """A device may renew its expired certificate until then."""

    serial: str
    device_id: str
    until: str
    leaf_index: int


class MassRevocationAnswer(Struct):
    """How many certificates a revocation is about. It is carried out when it is confirmed before `expires_at`."""

    revocation_id: str
    certificates: int
    expires_at: str | None = None


REGISTRATION_DOCUMENTS = (
    *(RegistrationProblem, ClaimTokenAnswer, ClaimStatus, SessionAnswer, ChallengeAnswer, CertificateAnswer, StateAnswer),
    *(Configuration, ResetAnswer, PreRegistered, BulkAnswer, RevokedAnswer, ExceptionAnswer, MassRevocationAnswer),
)
