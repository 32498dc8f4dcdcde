"""The OCSP responder: what it answers, what it does not."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.authority.port import Revoked, Status
from tests.connectors.authority import authorities
from tests.connectors.authority.authorities import DAY, NOW, SECOND, command, ec_key

SHELF = authorities.shelf()
AUTHORITY = SHELF.authority()
ISSUER = SHELF.issuing["devices-1"]
ISSUED = AUTHORITY.issue(command(ec_key()))
DEVICE = x509.load_der_x509_certificate(ISSUED.certificate)
Status_ = ocsp.OCSPResponseStatus


def request(nonce: bytes | None = None, issuer: x509.Certificate = ISSUER) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(DEVICE, issuer, hashes.SHA256())
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def answer(asked: bytes, status: Status | None = None, now: int = NOW) -> ocsp.OCSPResponse:
    return ocsp.load_der_ocsp_response(AUTHORITY.ocsp(asked, lambda key_id, serial: status, now))


def test_it_asks_the_ledger_for_the_serial_as_the_ledger_writes_it() -> None:
    asked = []

    def look(key_id: str, serial: str) -> None:
        asked.append((key_id, serial))

    AUTHORITY.ocsp(request(), look, NOW)
    assert asked == [(ISSUED.issuer_key_id, ISSUED.serial)]


def test_good_revoked_and_unknown() -> None:
    good = answer(request(), Status(None))
    assert good.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert good.this_update_utc.timestamp() * SECOND == NOW
    assert answer(request(), None).certificate_status is ocsp.OCSPCertStatus.UNKNOWN
    for reason, shown in (("key_compromise", x509.ReasonFlags.key_compromise), ("unspecified", None)):
        revoked = answer(request(), Status(Revoked(ISSUED.serial, NOW - DAY, reason, NOW + DAY)))  # type: ignore[arg-type]
        assert revoked.certificate_status is ocsp.OCSPCertStatus.REVOKED
        assert revoked.revocation_reason is shown
        assert revoked.revocation_time_utc.timestamp() * SECOND == NOW - DAY  # type: ignore[union-attr]


def test_the_signer_is_the_authority_s_and_for_this_only() -> None:
    made = answer(request(), Status(None))
    (signer,) = made.certificates
    signer.verify_directly_issued_by(ISSUER)
    key = signer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(made.signature, made.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    assert signer.extensions.get_extension_for_class(x509.OCSPNoCheck)
    uses = list(signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert uses == [x509.oid.ExtendedKeyUsageOID.OCSP_SIGNING]


def test_the_signer_is_made_anew_before_it_ends() -> None:
    (first,) = answer(request(), Status(None)).certificates
    assert answer(request(), Status(None), NOW + 4 * DAY).certificates == [first]
    (second,) = answer(request(), Status(None), NOW + 6 * DAY).certificates
    assert second.not_valid_after_utc > first.not_valid_after_utc


@settings(deadline=None)
@given(nonce=st.binary(min_size=1, max_size=128))
def test_a_nonce_comes_back(nonce: bytes) -> None:
    made = answer(request(nonce), Status(None))
    assert made.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce


def test_without_a_nonce_there_is_none() -> None:
    assert not list(answer(request(), Status(None)).extensions)


@pytest.mark.parametrize("nonce", [b"", b"x" * 129], ids=["empty", "long"])
def test_a_nonce_that_is_none(nonce: bytes) -> None:
    assert answer(request(nonce)).response_status is Status_.MALFORMED_REQUEST


def test_of_another_authority_it_knows_nothing() -> None:
    foreign = authorities.shelf().issuing["devices-1"]
    assert answer(request(issuer=foreign), Status(None)).response_status is Status_.UNAUTHORIZED


@settings(deadline=None)
@given(garbage=st.binary(max_size=80), cut=st.integers(0, 200))
@example(garbage=b"", cut=0)
def test_what_is_no_request_is_answered_so(garbage: bytes, cut: int) -> None:
    known = request(b"nonce")
    for asked in (garbage, known[: min(cut, len(known) - 1)], known + b"\0"):
        assert answer(asked, Status(None)).response_status is Status_.MALFORMED_REQUEST


@settings(deadline=None)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_never_ends_the_responder(place: int, bit: int) -> None:
    changed = bytearray(request(b"nonce"))
    changed[place % len(changed)] ^= 1 << bit
    assert answer(bytes(changed), Status(None)).response_status is not Status_.INTERNAL_ERROR
