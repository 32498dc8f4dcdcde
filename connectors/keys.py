"""Public keys of devices: reading, naming, weighing, verifying. Functions of their arguments alone."""

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from cryptography.x509 import InvalidVersion, load_der_x509_certificate

RSA_BITS = 2048
"""Fewest bits of an RSA key (NIST SP 800-131A: shorter ones are disallowed)."""
RSA_MOST_BITS = 8192
RSA_EXPONENT = 65537
"""Least public exponent (FIPS 186-5, A.1.1: more than 2^16; smaller ones have failed with bad padding)."""
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class BadKey(ValueError):
    """Not a key that the fleet takes; the text says why."""


def load(text: bytes) -> PublicKey:
    """The key in a SubjectPublicKeyInfo, DER or PEM: EC P-256, Ed25519, or RSA of 2048 to 8192 bits.

    Raises:
        BadKey: it is none of these.
    """
    try:
        key = load_pem_public_key(text) if text.lstrip().startswith(b"-----BEGIN") else load_der_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"no public key (SubjectPublicKeyInfo, DER or PEM): {error}") from None
    return checked(key)


def checked(key: object) -> PublicKey:
    """`key` if the fleet takes keys of its kind and size.

    Raises:
        BadKey: it doesn't.
    """
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1):
            raise BadKey(f"an EC key on {key.curve.name}; P-256 is the curve that is taken")
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if not RSA_BITS <= key.key_size <= RSA_MOST_BITS:
            raise BadKey(f"an RSA key of {key.key_size} bits; {RSA_BITS} to {RSA_MOST_BITS} are taken")
        if (exponent := key.public_numbers().e) < RSA_EXPONENT:
            raise BadKey(f"an RSA key of the public exponent {exponent}; {RSA_EXPONENT} or more is taken")
        return key
    raise BadKey(f"a key of a kind that is not taken ({type(key).__name__.strip('_')}): EC P-256, Ed25519 or RSA")


def der(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo, DER: the one form in which keys are stored and compared."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def algorithm(key: PublicKey) -> str:
    """`EC P-256`, `Ed25519`, or `RSA` and its bits."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC P-256"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else f"RSA {key.key_size}"


def key_hash(public_key: bytes) -> bytes:
    """SHA-256 of a SubjectPublicKeyInfo in DER."""
    return hashlib.sha256(public_key).digest()


def verifies(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is the key's over `message`: ECDSA with SHA-256 (DER), Ed25519, or RSA PKCS#1 v1.5 or PSS with
    SHA-256."""
    if isinstance(key, rsa.RSAPublicKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
        return any(_rsa(key, signature, message, scheme) for scheme in (padding.PKCS1v15(), pss))
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _rsa(key: rsa.RSAPublicKey, signature: bytes, message: bytes, scheme: padding.PKCS1v15 | padding.PSS) -> bool:
    try:
        key.verify(signature, message, scheme, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def certified(certificate: bytes) -> bytes:
    """The key of a certificate (X.509, DER), as `der` gives it.

    Raises:
        BadKey: it can't be read, or its key is none that the fleet takes.
    """
    try:
        key = load_der_x509_certificate(certificate).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion) as error:
        raise BadKey(f"no certificate (X.509, DER): {error}") from None
    return der(checked(key))
