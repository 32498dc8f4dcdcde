"""Where certificates point to is something, and the right thing."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from connectors.authority.issuing import CertificateAuthority
from infra import pki
from infra.ledger_pages import ShownPki
from infra.settings import Settings
from streams.ledger.published import Published
from tests.connectors.authority.authorities import command, ec_key

Shown = tuple[ShownPki, CertificateAuthority]


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    settings = Settings(data_dir=str(tmp_path))
    authority = pki.authority(settings)
    return ShownPki(authority, Published(), pki.at(settings)), authority


def pointers(certificate: x509.Certificate) -> tuple[str, str]:
    """The key ids in its pointers to the list and to the issuer's certificate."""
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    (issuer,) = [one for one in access if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS]
    assert point.full_name is not None
    paths = [urlsplit(place.value).path for place in (point.full_name[0], issuer.access_location)]
    assert [path.rpartition(".")[2] for path in paths] == ["crl", "crt"]
    return paths[0].removeprefix("/pki/").removesuffix(".crl"), paths[1].removeprefix("/pki/").removesuffix(".crt")


def test_a_chain_is_found_from_the_device_to_the_root(shown: Shown) -> None:
    pages, authority = shown
    certificate = x509.load_der_x509_certificate(authority.issue(command(ec_key())).certificate)
    for _ in range(2):
        of_list, of_issuer = pointers(certificate)
        issuer = x509.load_der_x509_certificate(pages.certificate(of_issuer))
        certificate.verify_directly_issued_by(issuer)
        revoked = x509.load_der_x509_crl(pages.crl(of_list))
        assert revoked.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
        certificate = issuer
    assert certificate.subject == certificate.issuer


def test_what_is_not_there(shown: Shown) -> None:
    for ask in (shown[0].certificate, shown[0].crl, shown[0].delta):
        with pytest.raises(KeyError):
            ask("00")
