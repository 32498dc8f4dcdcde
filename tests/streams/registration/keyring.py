"""Keys of devices, made once for all tests, and what is signed with them."""

import datetime
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from connectors import keys

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Key:
    private: PrivateKey

    @property
    def public(self) -> bytes:
        return keys.der(self.private.public_key())

    def sign(self, message: bytes) -> bytes:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return self.private.sign(message, ec.ECDSA(hashes.SHA256()))
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(message)

    def csr(self, common_name: str | None = None, san: str | None = None) -> bytes:
        name = [] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(name))
        if san is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(san)]), critical=False)
        algorithm = None if isinstance(self.private, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(self.private, algorithm).public_bytes(Encoding.DER)


def key(kind: str = "ec", number: int = 0) -> Key:
    """One of `ec`, `ed25519`, `rsa`; the same for the same number, as RSA takes its time."""
    return _key(kind, number)


@cache
def _key(kind: str, number: int) -> Key:
    if kind == "rsa":
        return Key(rsa.generate_private_key(65537, 2048))
    return Key(ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1()))


@cache
def certificate(of: Key) -> bytes:
    """Some certificate for the key."""
    moment, name = datetime.datetime(2026, 1, 1), x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(7)
    builder = builder.public_key(of.private.public_key()).not_valid_before(moment).not_valid_after(moment)
    return builder.sign(key().private, hashes.SHA256()).public_bytes(Encoding.DER)
