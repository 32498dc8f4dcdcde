"""Who is at the other end of a connection, and over which listener it came."""

import asyncio
import ssl
from dataclasses import dataclass

PLAIN, REGISTRATION, DATA = "plain", "registration", "data"
"""The listeners: HTTP as it is; TLS, for devices that have no certificate yet; TLS with the device's certificate."""
ON_PLAIN = frozenset({PLAIN})
ON_REGISTRATION = frozenset({PLAIN, REGISTRATION})
ON_DATA = frozenset({PLAIN, DATA})
EVERYWHERE = frozenset({PLAIN, REGISTRATION, DATA})


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end. `certificate`: the one whose key it proved to have, DER; `tls`: the protocol version, empty without."""

    address: str
    port: int
    certificate: bytes | None = None
    tls: str = ""


NOBODY = Peer("", 0)


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """A device that has proved who it is.

    Attributes:
        serial: of its certificate, as the ledger writes it.
        not_after: of its certificate, microseconds since 1970 UTC.
        thumbprint: SHA-256 of its certificate (DER).
        public_key: SubjectPublicKeyInfo, DER; empty where a token speaks for the certificate.
        by: how it was proved: "certificate" (TLS), "proxy" (a trusted proxy forwarded the certificate), "token".
    """

    device_id: str
    serial: str
    not_after: int
    thumbprint: bytes
    public_key: bytes
    by: str


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """The other end of a connection."""
    name = transport.get_extra_info("peername") or ("", 0)
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if secured is None:
        return Peer(str(name[0]), int(name[1]))
    return Peer(str(name[0]), int(name[1]), secured.getpeercert(binary_form=True), secured.version() or "")
