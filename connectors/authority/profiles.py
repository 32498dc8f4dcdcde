"""Certificate profiles (RFC 5280; names, uses and life of each kind). Functions of their arguments alone: what a certificate
says comes from here and from the authority's own settings, never from a request.

root (path length 1) -> devices-N (path length 0; clientAuth) -> device, OCSP responder
                     -> servers   (path length 0; serverAuth) -> server
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from connectors.authority.port import Signer
from connectors.authority.signing import HASH, SigningKey
from connectors.keys import PublicKey
from schemas import device_uri

Extension = x509.Extension[x509.ExtensionType]
LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1: ub-common-name
BACKDATED = timedelta(minutes=5)
"""A device whose clock is late by as much still takes its certificate as begun."""


@dataclass(frozen=True, slots=True)
class Life:
    """First and last second of a certificate."""

    first: datetime
    last: datetime


class Parent:
    """A certificate and the key that signs below it; `url` is where its list, certificate and OCSP responder are."""

    def __init__(self, certificate: x509.Certificate, signer: Signer, url: str) -> None:
        self.certificate, self.signer, self.url = certificate, signer, url
        self.der = certificate.public_bytes(Encoding.DER)
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        self.key_id = identifier.hex()
        """Subject key identifier, lower-case hexadecimal."""
        self._named = _extension(x509.AuthorityKeyIdentifier(identifier, None, None))
        self._of_devices = _of_devices(self)

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """The builder's certificate, issued by this one."""
        named = builder.issuer_name(self.certificate.subject)
        linked = named.add_extension(self._named.value, critical=False)
        return linked.sign(SigningKey(self.signer), HASH)

    def sign_device(
        self, subject: x509.Name, key: PublicKey, serial: int, lived: Life, own: list[Extension]
    ) -> x509.Certificate:
        """A device's certificate; `own` are the extensions that differ from device to device. Through the constructor: the
        builder's methods check and copy all extensions for each that is added, half the time of an issue."""
        builder = x509.CertificateBuilder(
            issuer_name=self.certificate.subject,
            subject_name=subject,
            public_key=key,
            serial_number=serial,
            not_valid_before=lived.first.replace(tzinfo=None),
            not_valid_after=lived.last.replace(tzinfo=None),
            extensions=[*own, self._named, *self._of_devices],
        )
        return builder.sign(SigningKey(self.signer), HASH)


def life(issued_at: int, days: int, within: x509.Certificate | None = None) -> Life:
    """`days` from `issued_at` (microseconds since 1970 UTC), begun five minutes before; not longer than `within` lives.
    The last second counts: a life of one day is 86,400 seconds."""
    begin = datetime.fromtimestamp(issued_at // 1_000_000, UTC)
    first, last = begin - BACKDATED, begin + timedelta(days=days) - BACKDATED - timedelta(seconds=1)
    if within is not None:
        first, last = max(first, within.not_valid_before_utc), min(last, within.not_valid_after_utc)
    return Life(first, last)


def name(common_name: str) -> x509.Name:
    """A subject of one name, or of none if it is longer than a common name may be."""
    fits = 0 < len(common_name) <= LONGEST_COMMON_NAME
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if fits else [])


def root(subject: str, signer: Signer, serial: int, lived: Life) -> x509.Certificate:
    own = name(subject)
    builder = _builder(own, signer.public_key, serial, lived).issuer_name(own)
    return _authority(builder, 1).sign(SigningKey(signer), HASH)


def issuing(parent: Parent, subject: str, signer: Signer, serial: int, lived: Life) -> x509.Certificate:
    """An authority for devices. Its use binds what it signs: a server's certificate by its hand is worthless. It is not for
    OCSP signing: with that, it could answer for the root; the certificate of its own responder has it."""
    builder = _builder(name(subject), signer.public_key, serial, lived)
    return _subordinate(parent, builder, [ExtendedKeyUsageOID.CLIENT_AUTH])


def servers(parent: Parent, subject: str, signer: Signer, serial: int, lived: Life) -> x509.Certificate:
    """An authority for the listeners' certificates; a device's certificate by its hand is worthless."""
    builder = _builder(name(subject), signer.public_key, serial, lived)
    return _subordinate(parent, builder, [ExtendedKeyUsageOID.SERVER_AUTH])


def device(parent: Parent, device_id: str, key: PublicKey, serial: int, lived: Life) -> x509.Certificate:
    """
    Raises:
        ValueError: that is no device id.
    """
    subject = name(device_id)
    alternative = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(device_uri.of(device_id))])
    # RFC 5280, 4.2.1.6: critical where the subject is empty.
    own = [_extension(alternative, critical=not list(subject)), _extension(x509.SubjectKeyIdentifier.from_public_key(key))]
    return parent.sign_device(subject, key, serial, lived, own)


def _of_devices(parent: Parent) -> list[Extension]:
    """What is the same in all certificates of devices by one authority."""
    responder = x509.UniformResourceIdentifier(f"{parent.url}/pki/ocsp")
    ocsp = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, responder)
    return [
        _extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        _extension(_key_usage(authority=False), critical=True),
        _extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])),
        _extension(_points(parent, "")),
        _extension(x509.FreshestCRL(list(_points(parent, "-delta")))),
        _extension(x509.AuthorityInformationAccess([ocsp, _issuer_at(parent)])),
    ]


def server(parent: Parent, names: Iterable[str], key: PublicKey, serial: int, lived: Life) -> x509.Certificate:
    """`names`: DNS names and IP addresses; they are in the subject alternative name only."""
    alternative = x509.SubjectAlternativeName([_host(one) for one in names])
    builder = _end(_builder(x509.Name([]), key, serial, lived), [ExtendedKeyUsageOID.SERVER_AUTH])
    return parent.sign(builder.add_extension(alternative, critical=True))


def ocsp_responder(parent: Parent, key: PublicKey, serial: int, lived: Life) -> x509.Certificate:
    """Signs OCSP answers in the authority's name; short-lived: nobody asks whether it was revoked (RFC 6960, 4.2.2.2.1)."""
    subject = name(f"OCSP {parent.key_id[:16]}")
    builder = _end(_builder(subject, key, serial, lived), [ExtendedKeyUsageOID.OCSP_SIGNING])
    return parent.sign(builder.add_extension(x509.OCSPNoCheck(), critical=False))


def _extension(value: x509.ExtensionType, critical: bool = False) -> Extension:
    return x509.Extension(value.oid, critical, value)


def _builder(
    subject: x509.Name, key: CertificateIssuerPublicKeyTypes | PublicKey, serial: int, lived: Life
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key).serial_number(serial)
    builder = builder.not_valid_before(lived.first).not_valid_after(lived.last)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(_key_usage(authority=True), critical=True)


def _subordinate(parent: Parent, builder: x509.CertificateBuilder, uses: list[x509.ObjectIdentifier]) -> x509.Certificate:
    builder = _authority(builder, 0).add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    builder = builder.add_extension(_points(parent, ""), critical=False)
    return parent.sign(builder.add_extension(x509.AuthorityInformationAccess([_issuer_at(parent)]), critical=False))


def _end(builder: x509.CertificateBuilder, uses: list[x509.ObjectIdentifier]) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority=False), critical=True)
    return builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)


def _key_usage(authority: bool) -> x509.KeyUsage:
    """An authority signs certificates, lists, and (the keys that it made for devices) messages."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _points(parent: Parent, kind: str) -> x509.CRLDistributionPoints:
    place = x509.UniformResourceIdentifier(f"{parent.url}/pki/{parent.key_id}{kind}.crl")
    return x509.CRLDistributionPoints([x509.DistributionPoint([place], None, None, None)])


def _issuer_at(parent: Parent) -> x509.AccessDescription:
    place = x509.UniformResourceIdentifier(f"{parent.url}/pki/{parent.key_id}.crt")
    return x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
