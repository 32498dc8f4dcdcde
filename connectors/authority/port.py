"""Ports of the certificate authority: what the ledger's decider needs of it, and what it needs to sign."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from schemas.certificate_messages import IssueCertificate
from schemas.message_values import RevocationReason


class Refused(Exception):
    """No certificate is made for this; the same request would be refused again. `code` is one of
    schemas.registration_errors."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class NoKey(Exception):
    """There is no key of that name, or it can't be opened (a wrong passphrase or PIN, a file open to others)."""


class Signer(Protocol):
    """A P-256 key that signs and can't be read."""

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey: ...

    def sign(self, message: bytes) -> bytes:
        """ECDSA with SHA-256, DER.

        Raises:
            connectors.ports.Away: the key's keeper does not answer.
        """


class Keys(Protocol):
    """Where the authority's keys are kept, by name (letters, digits and '-')."""

    def make(self, name: str) -> Signer:
        """A new key; the one that is there if the name is taken.

        Raises:
            NoKey: it can't be opened.
            connectors.ports.Away: the keeper does not answer.
        """

    def signer(self, name: str) -> Signer:
        """
        Raises:
            NoKey: there is none of that name, or it can't be opened.
            connectors.ports.Away: the keeper does not answer.
        """


class Issued(NamedTuple):
    """A certificate. Times are microseconds since 1970 UTC; `chain` is what comes after it, without the root, DER."""

    certificate: bytes
    chain: tuple[bytes, ...]
    serial: str
    """Lower-case hexadecimal digits without leading zeros, as everywhere."""
    not_before: int
    not_after: int
    key_algorithm: str
    key_hash: bytes
    """SHA-256 of the certificate's SubjectPublicKeyInfo."""
    issuer_key_id: str
    sealed_key: bytes | None
    """Where the server made the key: CMS SignedData of AuthEnvelopedData of the PKCS#8 (see connectors.sealed_key)."""


class Issuer(NamedTuple):
    """An issuing authority. Times are microseconds since 1970 UTC; `key_id`: subject key identifier, hexadecimal."""

    key_id: str
    not_before: int
    not_after: int
    certificate: bytes


class Revoked(NamedTuple):
    """A revoked certificate, as the ledger shows it; times in microseconds since 1970 UTC."""

    serial: str
    at: int
    reason: RevocationReason
    not_after: int


class Status(NamedTuple):
    """What the ledger shows of a certificate: good (`revoked` is None) or revoked."""

    revoked: Revoked | None


class Statuses(Protocol):
    """The ledger's knowledge, for the OCSP responder."""

    def __call__(self, issuer_key_id: str, serial: str) -> Status | None:
        """None: the ledger shows no such certificate of that issuer."""


class Authority(Protocol):
    """The certificate authority of the devices. Safe to be called from several threads.

    Certificates name these places below the authority's address: /pki/KEY_ID.crl and /pki/KEY_ID-delta.crl (the lists, DER,
    application/pkix-crl), /pki/KEY_ID.crt (the issuer's own certificate, DER, application/pkix-cert; for the root's key id
    the root's, and its list), /pki/ocsp."""

    def issue(self, command: IssueCertificate, trusted: Collection[str] | None = None) -> Issued:
        """A certificate for a device. It depends on the command alone (its id gives the serial number, its time the life),
        but for a key that the server makes: so a decision that is made again names the same certificate.

        Args:
            trusted: key ids of the issuing authorities that the ledger shows; None: all that there are. The newest signs.

        Raises:
            Refused: a request that is not to be granted.
            connectors.ports.Away: the key's keeper does not answer.
        """

    def authorities(self) -> Sequence[Issuer]:
        """All issuing authorities, newest first. One that was added since is found by this call."""

    def check_issuer(self, certificate: bytes) -> Issuer:
        """The authority of a certificate (DER) that is to be trusted.

        Raises:
            Refused: it is none that the root vouches for.
        """

    def crl(self, key_id: str, revoked: Collection[Revoked], now: int) -> bytes:
        """The issuer's certificate revocation list, DER. One that was made less than half its life ago is given again.

        Args:
            revoked: all its revoked certificates. One that is in it once stays in it.

        Raises:
            KeyError: there is no such issuer.
            connectors.ports.Away: the key's keeper does not answer.
        """

    def delta(self, key_id: str, revoked: Collection[Revoked], now: int) -> bytes:
        """What `crl` lacks, as a delta CRL; arguments and errors as there."""

    def ocsp(self, request: bytes, status: Statuses, now: int) -> bytes:
        """The answer to an OCSP request, both DER. What can't be answered is answered with an error response.

        Raises:
            connectors.ports.Away: the key's keeper does not answer.
        """
