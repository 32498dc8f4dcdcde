"""The certificate that a device presents, over TLS or through a proxy that has ended TLS (RFC 9440)."""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from connectors.http.peer import DeviceIdentity
from schemas import device_uri

CLIENT_CERT = b"client-cert"
MOST_BYTES = 8_192  # of a certificate; the ledger takes no larger ones
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What reading a certificate may raise that is none, or of a kind that is not known."""
Network = IPv4Network | IPv6Network


class NotADevice(ValueError):
    """The certificate names no device; the text says why."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The addresses from which a forwarded certificate is believed."""

    networks: tuple[Network, ...] = ()

    def trusted(self, address: str) -> bool:
        if not self.networks or not address:
            return False
        known = ip_address(address.partition("%")[0])
        if isinstance(known, IPv6Address) and known.ipv4_mapped:  # how a socket for both tells of IPv4
            known = known.ipv4_mapped
        return any(known in network for network in self.networks)


def proxies(text: str) -> Proxies:
    """Of a comma-separated list of addresses and networks.

    Raises:
        ValueError: one of them is neither.
    """
    return Proxies(tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()))


def identity(certificate: bytes, by: str) -> DeviceIdentity:
    """Who a certificate (DER) is of. Nothing is checked but its shape.

    Raises:
        NotADevice: it names no device, or more than one.
    """
    if len(certificate) > MOST_BYTES:
        raise NotADevice("the certificate is too large")
    try:
        read = x509.load_der_x509_certificate(certificate)
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        key = read.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except x509.ExtensionNotFound:
        raise NotADevice("the certificate names no device") from None
    except UNREADABLE as error:
        raise NotADevice(f"the certificate can't be read: {error}") from None
    devices = [name for uri in uris if (name := device_uri.device_id(uri))]
    if len(devices) != 1:
        raise NotADevice(f"the certificate names {len(devices)} devices")
    ends = int(read.not_valid_after_utc.timestamp()) * 1_000_000 + 999_999  # its last second is of its life
    return DeviceIdentity(devices[0], f"{read.serial_number:x}", ends, hashlib.sha256(certificate).digest(), key, by)


def forwarded(header: bytes) -> bytes:
    """The certificate in a Client-Cert header: a byte sequence of structured fields (RFC 8941, 3.3.5).

    Raises:
        NotADevice: there is none.
    """
    text = header.strip()
    if len(text) < 3 or not (text.startswith(b":") and text.endswith(b":")):
        raise NotADevice("Client-Cert holds no byte sequence")
    try:
        return base64.b64decode(text[1:-1], validate=True)
    except binascii.Error:
        raise NotADevice("Client-Cert holds no base64") from None
