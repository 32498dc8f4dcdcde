"""What linters of certificates say: pkilint (RFC 5280 and 6960) and zlint.

Findings that are set aside are named here, each with its reason; all others fail. zlint judges by the CA/Browser Forum's
baseline requirements (BR) too, which are for authorities that browsers trust: this one's root is in no browser.
"""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from pkilint.bin import lint_crl, lint_ocsp_response, lint_pkix_cert

from connectors.authority import lists, profiles
from connectors.authority.port import Revoked, Status
from schemas import device_uri
from tests.connectors.authority import authorities, install
from tests.connectors.authority.authorities import DAY, NOW, URL, command, ec_key

PEM = Encoding.PEM
FORUM = {
    "e_ca_country_name_missing": "BR 7.1.2.10.2: names of authorities; this one's say what they are for",
    "e_ca_organization_name_missing": "BR 7.1.2.10.2: as before",
    "w_root_ca_basic_constraints_path_len_constraint_field_present": "BR 7.1.2.1: a root without one; RFC 5280 has it",
    "e_invalid_ca_certificate_policies": "BR 7.1.2.10.5: the Forum's policies, which this authority does not follow",
    "e_sub_ca_certificate_policies_missing": "BR 7.1.2.10.5: as before",
    "e_sub_cert_cert_policy_empty": "BR 7.1.2.7.9: as before",
    "e_sub_cert_certificate_policies_missing": "BR 7.1.2.7.9: as before",
    "e_missing_crl_distrib_point": "BR 7.1.2.11.2: listeners' certificates are replaced, not revoked (docs/certificates.md)",
    "e_sub_cert_aia_missing": "BR 7.1.2.7.7: as before",
    "w_sub_cert_aia_does_not_contain_issuing_ca_url": "BR 7.1.2.7.7: a listener sends its chain",
    "e_server_cert_valid_time_longer_than_200_days": "BR 6.3.2: a listener's certificate lives for a year",
    "w_server_cert_valid_time_longer_than_199_days": "BR 6.3.2: as before",
    "w_ext_subject_key_identifier_not_recommended_subscriber": "BR 7.1.2.7.6: RFC 5280, 4.2.1.2 recommends it",
    "e_dnsname_not_valid_tld": "BR 4.2.2: a private name, as the fleet's own network has",
    "e_ext_san_contains_reserved_ip": "BR 7.1.4.2.1: a private address, as before",
    "e_cab_crl_has_valid_reason_code": "BR 7.2.2: fewer reasons than RFC 5280 has",
    "e_crl_extensions_validity": "BR 7.2.2: no delta lists",
    "e_crl_next_update_invalid": "BR 4.9.7: ten days for subscribers; the root's list is of authorities (twelve months)",
}
PKILINT = {"pkix.invalid_uri_syntax": "it takes URLs only; RFC 5280, 4.2.1.6 has URIs, and URNs are such (RFC 8141)"}
SHELF = authorities.shelf()
AUTHORITY = SHELF.authority()
ISSUING = profiles.Parent(SHELF.issuing["devices-1"], SHELF.keys.signer("devices-1"), URL)
ROOT = profiles.Parent(SHELF.root, SHELF.keys.signer("root"), URL)
REVOKED = [Revoked(f"{number:x}", NOW, reason, NOW + DAY) for number, reason in enumerate(lists.REASONS, start=5)]


def device(key: authorities.PrivateKey, device_id: str = "device-1") -> x509.Certificate:
    return x509.load_der_x509_certificate(AUTHORITY.issue(command(key, device_id=device_id)).certificate)


def servers() -> profiles.Parent:
    signer, lived = SHELF.keys.make("servers"), profiles.life(NOW, 1825)
    made = profiles.servers(ROOT, "fleetlog servers", signer, x509.random_serial_number(), lived)
    return profiles.Parent(made, signer, URL)


def server() -> x509.Certificate:
    names = ["fleet.test.internal", "192.0.2.7"]
    lived = profiles.life(NOW, 365)
    return profiles.server(servers(), names, ec_key().public_key(), x509.random_serial_number(), lived)


def responder() -> x509.Certificate:
    lived = profiles.life(NOW, 7)
    return profiles.ocsp_responder(ISSUING, ec_key().public_key(), x509.random_serial_number(), lived)


CERTIFICATES: dict[str, Callable[[], x509.Certificate]] = {
    "root": lambda: SHELF.root,
    "issuing": lambda: ISSUING.certificate,
    "servers": lambda: servers().certificate,
    "ec device": lambda: device(ec_key()),
    "rsa device": lambda: device(rsa.generate_private_key(65537, 2048)),
    "ed25519 device": lambda: device(ed25519.Ed25519PrivateKey.generate()),
    "device of a long id": lambda: device(ec_key(), "d" * 128),
    "server": server,
    "responder": responder,
}
LISTS: dict[str, Callable[[], bytes]] = {
    "full": lambda: AUTHORITY.crl(ISSUING.key_id, REVOKED, NOW),
    "empty": lambda: lists.signed(ISSUING, (), 7, NOW, 3600),
    "delta": lambda: lists.signed(ISSUING, REVOKED, 8, NOW, 300, 7),
    "root": lambda: lists.signed(ROOT, (), 9, NOW, 365 * 86_400),
}


def pkilint(main: Callable[[list[str]], int], file: Path, capsys: pytest.CaptureFixture[str], *options: str) -> set[str]:
    """The codes that it finds at the level of warnings or above, but for those set aside."""
    main(["lint", "-s", "WARNING", "-f", "JSON", *options, str(file)])
    results = json.loads(capsys.readouterr().out)["results"]
    return {found["code"] for result in results for found in result["finding_descriptions"]} - PKILINT.keys()


def zlint(file: Path) -> set[str]:
    """The lints that find an error or a warning, but for those set aside."""
    done = subprocess.run([install.zlint(), str(file)], capture_output=True, text=True, timeout=60, check=True)
    results = json.loads(done.stdout)
    assert len(results) >= 20
    return {name for name, one in results.items() if one["result"] in ("error", "warn", "fatal")} - FORUM.keys()


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "certificate.pem"
    file.write_bytes(CERTIFICATES[name]().public_bytes(PEM))
    assert pkilint(lint_pkix_cert.main, file, capsys) == set()
    assert zlint(file) == set()


@pytest.mark.parametrize("name", LISTS)
def test_revocation_lists(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "list.pem"
    file.write_bytes(x509.load_der_x509_crl(LISTS[name]()).public_bytes(PEM))
    kind = "ARL" if name == "root" else "CRL"
    assert pkilint(lint_crl.main, file, capsys, "-p", "PKIX", "-t", kind) == set()
    assert zlint(file) == set()


@pytest.mark.parametrize("status", [Status(None), Status(REVOKED[1]), None], ids=["good", "revoked", "unknown"])
def test_ocsp_answers(status: Status | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ocsp.OCSPRequestBuilder().add_certificate(device(ec_key()), ISSUING.certificate, hashes.SHA256())
    request = asked.add_extension(x509.OCSPNonce(bytes(32)), critical=False).build().public_bytes(Encoding.DER)
    file = tmp_path / "answer.der"
    file.write_bytes(AUTHORITY.ocsp(request, lambda key_id, serial: status, NOW))
    assert pkilint(lint_ocsp_response.main, file, capsys) == set()


def test_the_linters_do_find(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An authority without a name, which RFC 5280 (4.1.2.6) asks for."""
    bad = profiles.root("", SHELF.keys.signer("root"), 1, profiles.life(NOW, 1))
    file = tmp_path / "bad.pem"
    file.write_bytes(bad.public_bytes(PEM))
    assert pkilint(lint_pkix_cert.main, file, capsys) != set()
    assert zlint(file) != set()


def test_what_is_set_aside_is_the_forum_s() -> None:
    done = subprocess.run([install.zlint(), "-list-lints-json"], capture_output=True, text=True, timeout=60, check=True)
    sources = {lint["name"]: lint["source"] for lint in map(json.loads, done.stdout.splitlines())}
    assert {sources[name] for name in FORUM} == {"CABF_BR"}


def test_the_uri_that_pkilint_does_not_take_is_a_urn_and_the_device_s() -> None:
    (uri,) = device(ec_key()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert uri.value == device_uri.of("device-1") == "urn:fleetlog:device:device-1"
