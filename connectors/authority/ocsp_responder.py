"""The OCSP responder (RFC 6960, nonces as RFC 9654): a request and what the ledger shows, to an answer."""

import threading
from collections.abc import Callable, Collection
from datetime import timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from connectors.authority import profiles
from connectors.authority.lists import REASONS, UNSPECIFIED, moment
from connectors.authority.port import Status, Statuses
from connectors.authority.signing import HASH

SIGNER_DAYS = 7
LONGEST_NONCE = 128
UNREADABLE = (ValueError, NotImplementedError, UnsupportedAlgorithm)  # not implemented: several certificates in one request


class OcspResponder:
    """Answers for several authorities. Each answer is signed by a key of this process, which the authority delegates to for
    a week: no key of an authority is asked for each answer. Safe to be called from several threads."""

    def __init__(self, parents: Callable[[], Collection[profiles.Parent]], seconds: int) -> None:
        """`seconds`: how long an answer is good."""
        self._parents, self._seconds = parents, seconds
        self._signers: dict[str, tuple[ec.EllipticCurvePrivateKey, x509.Certificate]] = {}
        self._lock = threading.Lock()

    def answer(self, request: bytes, status: Statuses, now: int) -> bytes:
        """See Authority.ocsp."""
        try:
            asked = ocsp.load_der_ocsp_request(request)
            nonce = _nonce(asked)
            algorithm = asked.hash_algorithm
        except UNREADABLE:
            return _failure(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        parent = next((one for one in self._parents() if _is_issuer(one.certificate, asked, algorithm)), None)
        if parent is None:
            return _failure(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        return self._signed(parent, asked, status(parent.key_id, f"{asked.serial_number:x}"), nonce, now)

    def _signed(
        self, parent: profiles.Parent, asked: ocsp.OCSPRequest, known: Status | None, nonce: bytes | None, now: int
    ) -> bytes:
        key, certificate = self._signer(parent, now)
        shown = ocsp.OCSPCertStatus.UNKNOWN if known is None else ocsp.OCSPCertStatus.GOOD
        at = reason = None
        if known is not None and known.revoked is not None:
            shown, at = ocsp.OCSPCertStatus.REVOKED, moment(known.revoked.at)
            reason = None if known.revoked.reason == UNSPECIFIED else REASONS[known.revoked.reason]
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=asked.issuer_name_hash,
            issuer_key_hash=asked.issuer_key_hash,
            serial_number=asked.serial_number,
            algorithm=asked.hash_algorithm,
            cert_status=shown,
            this_update=moment(now),
            next_update=moment(now) + timedelta(seconds=self._seconds),
            revocation_time=at,
            revocation_reason=reason,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, certificate).certificates([certificate])
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.sign(key, HASH).public_bytes(Encoding.DER)

    def _signer(self, parent: profiles.Parent, now: int) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Made anew when less than a third of its life is left."""
        with self._lock:
            held = self._signers.get(parent.key_id)
            if held is None or moment(now) > held[1].not_valid_after_utc - timedelta(days=SIGNER_DAYS) / 3:
                key = ec.generate_private_key(ec.SECP256R1())
                lived = profiles.life(now, SIGNER_DAYS, parent.certificate)
                made = profiles.ocsp_responder(parent, key.public_key(), x509.random_serial_number(), lived)
                held = self._signers[parent.key_id] = key, made
            return held


def _nonce(asked: ocsp.OCSPRequest) -> bytes | None:
    try:
        nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None
    if not 0 < len(nonce) <= LONGEST_NONCE:
        raise ValueError(f"a nonce of {len(nonce)} bytes")
    return nonce


def _is_issuer(certificate: x509.Certificate, asked: ocsp.OCSPRequest, algorithm: hashes.HashAlgorithm) -> bool:
    point = certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    names = asked.issuer_name_hash == _hashed(certificate.subject.public_bytes(), algorithm)
    return names and asked.issuer_key_hash == _hashed(point, algorithm)


def _hashed(content: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(content)
    return digest.finalize()


def _failure(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
