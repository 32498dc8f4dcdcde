"""What the authority issues: from the command and its own profile alone."""

from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import keys as device_keys
from connectors import sealed_key
from connectors.authority.port import Refused
from schemas import device_uri
from tests.connectors.authority import authorities
from tests.connectors.authority.authorities import DAY, NOW, SECOND, command, ec_key, request

SHELF = authorities.shelf()
AUTHORITY = SHELF.authority()
KEY = ec_key()
RSA_KEY = rsa.generate_private_key(65537, 2048)


def loaded(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def names(certificate: x509.Certificate) -> list[str]:
    alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return [str(name.value) for name in alternative.value]


@pytest.mark.parametrize("key", [KEY, RSA_KEY, ed25519.Ed25519PrivateKey.generate()], ids=["ec", "rsa", "ed25519"])
def test_what_is_said_of_a_certificate_is_what_it_says(key: authorities.PrivateKey) -> None:
    issued = AUTHORITY.issue(command(key))
    made = loaded(issued.certificate)
    made.verify_directly_issued_by(loaded(issued.chain[0]))
    loaded(issued.chain[0]).verify_directly_issued_by(SHELF.root)
    assert made.public_key() == key.public_key()
    assert f"{made.serial_number:x}" == issued.serial
    assert int(made.not_valid_before_utc.timestamp()) * SECOND == issued.not_before == NOW - 300 * SECOND
    assert int(made.not_valid_after_utc.timestamp()) * SECOND == issued.not_after
    # RFC 5280, 4.1.2.5: the last second counts.
    assert issued.not_after + SECOND - issued.not_before == 90 * DAY
    assert issued.key_algorithm == device_keys.algorithm(key.public_key())
    assert issued.key_hash == device_keys.key_hash(device_keys.der(key.public_key()))
    assert issued.issuer_key_id == AUTHORITY.authorities()[0].key_id
    assert issued.sealed_key is None
    assert list(made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@settings(deadline=None)
@given(device_id=st.from_regex(device_uri.DEVICE_ID, fullmatch=True))
def test_any_device_id_of_the_contract_is_named_and_read_back(device_id: str) -> None:
    made = loaded(AUTHORITY.issue(command(KEY, device_id=device_id)).certificate)
    (uri,) = names(made)
    assert device_uri.device_id(uri) == device_id
    subject = [part.value for part in made.subject]
    assert subject == ([device_id] if len(device_id) <= 64 else [])
    assert made.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical == (not subject)


@settings(deadline=None)
@given(uri=st.one_of(st.text(max_size=40), st.text(max_size=40).map(lambda text: device_uri.PREFIX + text)))
def test_only_a_device_s_uri_names_a_device(uri: str) -> None:
    named = device_uri.device_id(uri)
    assert named is None or device_uri.of(named) == uri


PARTS = st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.SERIAL_NUMBER, NameOID.EMAIL_ADDRESS])
VALUES = st.sampled_from(["device-1", "SN-0001", "device-2", "admin", "localhost"])
SUBJECTS = st.lists(st.builds(x509.NameAttribute, PARTS, VALUES), max_size=3).map(x509.Name)
URIS = VALUES.map(lambda name: x509.UniformResourceIdentifier(device_uri.of(name)))
EXTENSIONS = st.one_of(
    st.builds(lambda name: x509.SubjectAlternativeName([name]), st.one_of(VALUES.map(x509.DNSName), URIS)),
    st.booleans().map(lambda ca: x509.BasicConstraints(ca=ca, path_length=None)),
    st.just(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])),
)


@settings(deadline=None, max_examples=60)
@given(subject=SUBJECTS, extension=st.none() | EXTENSIONS)
def test_nothing_is_taken_over_from_a_request_but_its_key(subject: x509.Name, extension: x509.ExtensionType | None) -> None:
    """Refused, or the very certificate that a request without any wish gets."""
    asked = request(KEY, subject, *([] if extension is None else [extension]))
    with suppress(Refused):
        assert AUTHORITY.issue(command(KEY, csr=asked)) == AUTHORITY.issue(command(KEY))


def test_the_same_command_gives_the_same_certificate_and_another_another() -> None:
    again = SHELF.authority().issue(command(KEY))
    assert again == AUTHORITY.issue(command(KEY))
    assert AUTHORITY.issue(command(KEY, command_id="another")).serial != again.serial


@settings(deadline=None)
@given(command_id=st.text(min_size=1, max_size=40))
def test_serial_numbers_are_positive_and_of_16_bytes(command_id: str) -> None:
    serial = int(AUTHORITY.issue(command(KEY, command_id=command_id)).serial, 16)
    assert serial.bit_length() == 127


def test_a_request_of_another_key_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        AUTHORITY.issue(command(KEY, csr=request(ec_key())))
    assert refused.value.code == "BAD_CSR"


@pytest.mark.parametrize("csr", [None, b"", b"0\x03\x02\x01\x05", b"0" * 9000], ids=["none", "empty", "other", "huge"])
def test_what_is_no_request_is_refused(csr: bytes | None) -> None:
    with pytest.raises(Refused) as refused:
        AUTHORITY.issue(command(KEY, csr=csr))
    assert refused.value.code == "BAD_CSR"


def test_what_is_no_device_id_is_refused() -> None:
    for device_id in ("", "a/b", "-x", "a" * 129, "a\n"):
        with pytest.raises(Refused) as refused:
            AUTHORITY.issue(command(KEY, device_id=device_id))
        assert refused.value.code == "REG-008"


@pytest.mark.parametrize("key", [KEY, RSA_KEY], ids=["ec", "rsa"])
def test_a_key_that_the_server_made_reaches_its_device_only(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    issued = AUTHORITY.issue(command(key, key_mode="server"))
    assert issued.sealed_key is not None
    opened = sealed_key.unseal(issued.sealed_key, key, [loaded(issued.chain[0])])
    made = load_der_private_key(opened, None)
    assert isinstance(made, ec.EllipticCurvePrivateKey)
    assert made.public_key() == loaded(issued.certificate).public_key() != key.public_key()
    assert opened not in issued.sealed_key


def test_no_key_is_made_for_a_device_that_could_not_open_it() -> None:
    with pytest.raises(Refused) as refused:
        AUTHORITY.issue(command(ed25519.Ed25519PrivateKey.generate(), key_mode="server"))
    assert refused.value.code == "BAD_PUBLIC_KEY"


def test_the_newest_trusted_authority_signs_and_those_before_stay() -> None:
    shelf = authorities.shelf()
    authority = shelf.authority()
    (first,) = authority.authorities()
    before = loaded(authority.issue(command(KEY)).certificate)
    shelf.add()
    second, old = authority.authorities()
    assert old == first
    assert authority.issue(command(KEY)).issuer_key_id == second.key_id
    assert authority.issue(command(KEY), {first.key_id}).issuer_key_id == first.key_id
    assert authority.check_issuer(second.certificate) == second
    before.verify_directly_issued_by(loaded(first.certificate))


def test_nobody_signs_but_who_is_trusted_and_alive() -> None:
    shelf = authorities.shelf(at=NOW - 1825 * DAY)
    authority = shelf.authority()
    for fields, trusted in (({}, []), ({"issued_at": NOW + DAY}, None)):
        with pytest.raises(Refused) as refused:
            authority.issue(command(KEY, **fields), trusted)
        assert refused.value.code == "REG-008"


def test_no_certificate_outlives_its_authority() -> None:
    shelf = authorities.shelf(at=NOW - 1800 * DAY)
    made = loaded(shelf.authority().issue(command(KEY)).certificate)
    issuer = shelf.issuing["devices-1"]
    assert made.not_valid_after_utc == issuer.not_valid_after_utc
    assert made.not_valid_after_utc - made.not_valid_before_utc < timedelta(days=26)


def test_an_authority_of_another_root_is_refused() -> None:
    foreign = authorities.shelf().authority().authorities()[0]
    device = AUTHORITY.issue(command(KEY)).certificate
    for certificate in (foreign.certificate, device, b"", authorities.shelf().root.public_bytes(authorities.Encoding.DER)):
        with pytest.raises(Refused) as refused:
            AUTHORITY.check_issuer(certificate)
        assert refused.value.code == "CERTIFICATE_UNKNOWN"


def test_the_errors_are_of_the_contract() -> None:
    from schemas.registration_errors import ERRORS

    assert {"BAD_CSR", "BAD_PUBLIC_KEY", "REG-008", "CERTIFICATE_UNKNOWN"} <= ERRORS.keys()
