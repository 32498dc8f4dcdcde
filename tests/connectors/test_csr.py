"""Certification requests: what is taken, and each fault by its name."""

import datetime
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from connectors import keys
from connectors.csr import MOST_BYTES, BadCsr, checked_csr, requested_key

P256 = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
Builder = x509.CertificateSigningRequestBuilder
NAMES = ("dev-1", "SN-1")


def empty() -> Builder:
    return Builder().subject_name(x509.Name([]))


def named(*parts: tuple[x509.ObjectIdentifier, str]) -> Builder:
    return Builder().subject_name(x509.Name([x509.NameAttribute(*part) for part in parts]))


def der(builder: Builder, key: ec.EllipticCurvePrivateKey = P256, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    return builder.sign(key, algorithm or hashes.SHA256()).public_bytes(Encoding.DER)


SPKI = keys.der(P256.public_key())


@pytest.mark.parametrize(
    ("key", "algorithm"), [(P256, hashes.SHA256()), (P256, hashes.SHA384()), (ED, None), (RSA, hashes.SHA256())]
)
def test_a_request_of_each_kind_of_key_is_taken(key: ec.EllipticCurvePrivateKey, algorithm: hashes.HashAlgorithm) -> None:
    request = empty().sign(key, algorithm).public_bytes(Encoding.DER)
    spki = keys.der(key.public_key())
    assert checked_csr(request, spki).public_bytes(Encoding.DER) == request
    assert checked_csr(request, None)
    assert requested_key(request) == spki


@pytest.mark.parametrize("name", NAMES)
def test_a_common_name_that_is_the_devices_is_taken(name: str) -> None:
    assert checked_csr(der(named((NameOID.COMMON_NAME, name))), SPKI, NAMES)


def san(*names: x509.GeneralName) -> Builder:
    return empty().add_extension(x509.SubjectAlternativeName(names), critical=False)


FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "another key": (lambda: der(empty(), ec.generate_private_key(ec.SECP256R1())), "another key"),
    "another curve": (lambda: der(empty(), ec.generate_private_key(ec.SECP384R1())), "secp384r1"),
    "huge": (lambda: der(san(*(x509.DNSName(f"{n}.example.com") for n in range(900)))), f"at most {MOST_BYTES}"),
    "huge and no request": (lambda: b"\x30" * 100_000, f"at most {MOST_BYTES}"),
    "a SAN": (lambda: der(san(x509.DNSName("fleet.example.com"))), "extensions"),
    "a SAN URI of another device": (
        lambda: der(san(x509.UniformResourceIdentifier("urn:fleetlog:device:dev-2"))),
        "extensions",
    ),
    "an authority": (lambda: der(empty().add_extension(x509.BasicConstraints(True, None), True)), "extensions"),
    "a password": (lambda: der(empty().add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"secret")), "challengePassword"),
    "another attribute": (lambda: der(empty().add_attribute(AttributeOID.UNSTRUCTURED_NAME, b"x")), "attribute"),
    "another device's name": (lambda: der(named((NameOID.COMMON_NAME, "dev-2"))), "common name"),
    "two names": (lambda: der(named((NameOID.COMMON_NAME, "dev-1"), (NameOID.COMMON_NAME, "SN-1"))), "2 parts"),
    "an organisation": (lambda: der(named((NameOID.ORGANIZATION_NAME, "dev-1"))), "O;"),
    "a SHA-1 signature": (lambda: weakened(der(empty())), "signature"),
    "nothing": (lambda: b"", "PKCS#10"),
    "bytes after it": (lambda: der(empty()) + b"\0", "PKCS#10"),
    "another version": (lambda: der(empty()).replace(b"\x02\x01\x00", b"\x02\x01\x07", 1), "PKCS#10"),
    "a certificate": (lambda: certificate(), "PKCS#10"),
    "a spoilt signature": (lambda: der(empty())[:-1] + bytes([der(empty())[-1] ^ 1]), "signature"),
}


def weakened(request: bytes) -> bytes:
    """The request with ecdsa-with-SHA1 as its signature's algorithm (and thus with a signature that is not good)."""
    from_sha256, to_sha1 = bytes.fromhex("300a06082a8648ce3d040302"), bytes.fromhex("300906072a8648ce3d0401")
    start = request.index(from_sha256)
    body = request[4:] if request[1] == 0x82 else request[3:] if request[1] == 0x81 else request[2:]
    start -= len(request) - len(body)
    body = body[:start] + to_sha1 + body[start + len(from_sha256) :]
    return bytes([0x30, 0x81, len(body)]) + body


def certificate() -> bytes:
    now, name = datetime.datetime(2026, 1, 1), x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(P256.public_key()).serial_number(1)
    return builder.not_valid_before(now).not_valid_after(now).sign(P256, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault: str) -> None:
    make, says = FAULTS[fault]
    with pytest.raises(BadCsr, match=says):
        checked_csr(make(), SPKI, NAMES)


def test_a_signature_by_another_key_is_not_good() -> None:
    """The key is the device's, the signature that of whoever wants a certificate for it."""
    other = ec.generate_private_key(ec.SECP256R1())
    forged = der(empty(), other).replace(keys.der(other.public_key()), SPKI)
    with pytest.raises(BadCsr, match="signature"):
        checked_csr(forged, SPKI, NAMES)


GOOD = der(named((NameOID.COMMON_NAME, "dev-1")))


@given(place=st.integers(0, len(GOOD) - 1), change=st.integers(1, 255))
def test_a_request_that_was_changed_anywhere_is_refused(place: int, change: int) -> None:
    changed = GOOD[:place] + bytes([GOOD[place] ^ change]) + GOOD[place + 1 :]
    with pytest.raises(BadCsr):
        checked_csr(changed, SPKI, NAMES)


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(BadCsr):
        checked_csr(noise, None)
    with pytest.raises(BadCsr):
        requested_key(noise)
