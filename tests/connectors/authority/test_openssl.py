"""What another implementation says of it: the openssl command."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from connectors.authority import lists, profiles
from connectors.authority.port import Revoked, Status
from tests.connectors.authority import authorities
from tests.connectors.authority.authorities import NOW, SECOND, command, ec_key

SHELF = authorities.shelf()
AUTHORITY = SHELF.authority()
ISSUER = SHELF.issuing["devices-1"]
KEY_ID = AUTHORITY.authorities()[0].key_id
AT = f"-attime {NOW // SECOND}"


def openssl(folder: Path, arguments: str) -> str:
    program = shutil.which("openssl")
    assert program, "openssl is needed: it is part of every Debian and macOS"
    done = subprocess.run([program, *arguments.split()], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def revoked(serial: str) -> Revoked:
    return Revoked(serial, NOW - SECOND, "key_compromise", NOW + authorities.DAY)


def write_pem_lists(folder: Path, *ders: bytes) -> None:
    (folder / "lists.pem").write_bytes(b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in ders))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "root.pem").write_bytes(pem(SHELF.root))
    (tmp_path / "issuer.pem").write_bytes(pem(ISSUER))
    (tmp_path / "issuer.der").write_bytes(ISSUER.public_bytes(Encoding.DER))
    return tmp_path


def issued(folder: Path, key: authorities.PrivateKey, command_id: str = "one") -> str:
    """A device's certificate in device.pem; its serial number."""
    made = AUTHORITY.issue(command(key, command_id=command_id))
    (folder / "device.pem").write_bytes(pem(x509.load_der_x509_certificate(made.certificate)))
    return made.serial


def verify(folder: Path, options: str) -> str:
    chain = "-CAfile root.pem -untrusted issuer.pem"
    return openssl(folder, f"verify -x509_strict -policy_check {AT} {chain} {options} device.pem")


@pytest.mark.parametrize(
    "key",
    [ec_key(), rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()],
    ids=["ec", "rsa", "ed25519"],
)
def test_the_chain_of_a_device(folder: Path, key: authorities.PrivateKey) -> None:
    issued(folder, key)
    assert "OK" in verify(folder, "-purpose sslclient")
    with pytest.raises(AssertionError, match="certificate purpose"):
        verify(folder, "-purpose sslserver")


def test_a_server_s_certificate_by_the_devices_authority_is_worthless(folder: Path) -> None:
    parent = profiles.Parent(ISSUER, SHELF.keys.signer("devices-1"), authorities.URL)
    forged = profiles.server(parent, ["localhost"], ec_key().public_key(), 7, profiles.life(NOW, 90, ISSUER))
    (folder / "device.pem").write_bytes(pem(forged))
    with pytest.raises(AssertionError, match="purpose"):
        verify(folder, "-purpose sslserver")


def test_lists(folder: Path) -> None:
    """A revoked certificate is refused by the full list; one that was revoked since, by full and delta together."""
    first, last = issued(folder, ec_key(), "first"), issued(folder, ec_key(), "last")
    authority = SHELF.authority()
    root_list = lists.signed(profiles.Parent(SHELF.root, SHELF.keys.signer("root"), authorities.URL), (), 1, NOW, 3600)
    check = "-crl_check_all -CRLfile lists.pem"
    full = authority.crl(KEY_ID, [revoked(first)], NOW)
    write_pem_lists(folder, full, root_list)
    assert "OK" in verify(folder, check)
    later = [revoked(first), revoked(last)]
    assert authority.crl(KEY_ID, later, NOW) == full
    write_pem_lists(folder, full, root_list, authority.delta(KEY_ID, later, NOW))
    with pytest.raises(AssertionError, match="certificate revoked"):
        verify(folder, "-use_deltas -extended_crl -crl_check -CRLfile lists.pem")
    issued(folder, ec_key(), "first")
    with pytest.raises(AssertionError, match="certificate revoked"):
        verify(folder, check)
    for number, der in enumerate((full, authority.delta(KEY_ID, later, NOW))):
        (folder / f"{number}.crl").write_bytes(der)
        told = openssl(folder, f"crl -inform DER -in {number}.crl -noout -verify -CAfile issuer.pem -crlnumber")
        assert "verify OK" in told


@pytest.mark.parametrize(
    ("status", "told"),
    [(Status(None), "Cert Status: good"), (Status(revoked("5")), "keyCompromise"), (None, "Cert Status: unknown")],
    ids=["good", "revoked", "unknown"],
)
@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
def test_ocsp(folder: Path, status: Status | None, told: str, digest: str) -> None:
    serial = issued(folder, ec_key())
    openssl(folder, f"ocsp -issuer issuer.pem {digest} -cert device.pem -reqout request.der")
    asked = []

    def look(key_id: str, number: str) -> Status | None:
        asked.append((key_id, number))
        return status

    answer = AUTHORITY.ocsp((folder / "request.der").read_bytes(), look, NOW)
    assert asked == [(KEY_ID, serial)]
    (folder / "answer.der").write_bytes(answer)
    # It judges the answer's time by the machine's clock.
    trust = f"-CAfile root.pem -verify_other issuer.pem {AT} -validity_period {2**31 - 1}"
    text = openssl(folder, f"ocsp -reqin request.der -respin answer.der -resp_text {trust}")
    assert "Response verify OK" in text
    assert told in text
    assert "WARNING" not in text, text


@pytest.mark.parametrize("key", [ec_key(), rsa.generate_private_key(65537, 2048)], ids=["ec", "rsa"])
def test_a_sealed_key(folder: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    made = AUTHORITY.issue(command(key, key_mode="server"))
    assert made.sealed_key is not None
    (folder / "sealed.der").write_bytes(made.sealed_key)
    (folder / "device.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    trust = f"-CAfile root.pem -purpose any {AT}"
    openssl(folder, f"cms -verify -binary -inform DER -in sealed.der -out envelope.der {trust}")
    shown = openssl(folder, "cms -cmsout -noout -print -inform DER -in envelope.der")
    assert "authEnvelopedData" in shown
    assert "aes-256-gcm" in shown
    openssl(folder, "cms -decrypt -binary -inform DER -in envelope.der -inkey device.key -out opened.der")
    opened = load_der_private_key((folder / "opened.der").read_bytes(), None)
    certificate = x509.load_der_x509_certificate(made.certificate)
    assert opened.public_key() == certificate.public_key()


def test_the_certificates_of_the_stack(tmp_path: Path) -> None:
    """What `infra.pki` makes: the listeners' chain, the root's list."""
    from infra import pki
    from infra.settings import Settings

    made = pki.ensure(Settings(data_dir=str(tmp_path), tls_names="fleet.test"), NOW / SECOND)
    certificates = x509.load_pem_x509_certificates(made.server.read_bytes())
    (tmp_path / "device.pem").write_bytes(pem(certificates[0]))
    (tmp_path / "issuer.pem").write_bytes(pem(*certificates[1:]))
    (tmp_path / "root.pem").write_bytes(made.trust.read_bytes())
    for name in ("-verify_hostname fleet.test", "-verify_ip 127.0.0.1"):
        assert "OK" in verify(tmp_path, f"-purpose sslserver {name}")
    with pytest.raises(AssertionError, match="purpose"):
        verify(tmp_path, "-purpose sslclient")
    openssl(tmp_path, f"crl -inform DER -in {made.root_list} -noout -verify -CAfile root.pem")
