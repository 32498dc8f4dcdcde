"""Authorities, certificates and clients for tests of the listeners over TLS."""

import base64
import hashlib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from connectors.guards import CertificateRecord
from schemas import device_uri, proofs

DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass
class Held:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def read(cls, file: Path) -> "Held":
        """Of a PEM file of key and certificate."""
        key = load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(x509.load_pem_x509_certificates(file.read_bytes())[0], key)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def serial(self) -> str:
        return f"{self.certificate.serial_number:x}"

    def pem(self) -> bytes:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return key + self.certificate.public_bytes(Encoding.PEM)

    def sign(self, message: bytes) -> str:
        return base64.b64encode(self.key.sign(message, ec.ECDSA(hashes.SHA256()))).decode()

    def record(self, device_id: str, **changes: Any) -> CertificateRecord:
        """What the ledger says of it."""
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ends = int(self.certificate.not_valid_after_utc.timestamp() * 1e6)
        stated: dict[str, Any] = {"not_after": ends} | changes
        return CertificateRecord(self.serial, device_id, hashlib.sha256(public).hexdigest(), **stated)


class Authority:
    """Issues whatever it is asked for."""

    def __init__(self, name: str = "test authority", ends: datetime | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(named(name), named(name), self.key, now() - 9 * DAY, ends or now() + 365 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256())

    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def server(self) -> Held:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        return self._issue("server", key, names, ExtendedKeyUsageOID.SERVER_AUTH)

    def device(
        self, device_id: str, begins: datetime | None = None, ends: datetime | None = None, names: tuple[str, ...] = ()
    ) -> Held:
        """A device's certificate; `names`: other URIs in the place of the device's."""
        uris = names or (device_uri.PREFIX + device_id,)
        san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        key = ec.generate_private_key(ec.SECP256R1())
        return self._issue("device", key, san, ExtendedKeyUsageOID.CLIENT_AUTH, (begins or now() - DAY, ends or now() + DAY))

    def _issue(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        names: x509.SubjectAlternativeName,
        use: x509.ObjectIdentifier,
        life: tuple[datetime, datetime] | None = None,
    ) -> Held:
        begins, ends = life or (now() - DAY, now() + DAY)
        builder = _builder(named(name), self.certificate.subject, key, begins, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        return Held(builder.sign(self.key, hashes.SHA256()), key)


def self_signed(device_id: str) -> Held:
    key = ec.generate_private_key(ec.SECP256R1())
    uri = x509.UniformResourceIdentifier(device_uri.PREFIX + device_id)
    builder = _builder(named("device"), named("device"), key, now() - DAY, now() + DAY)
    signed = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False).sign(key, hashes.SHA256())
    return Held(signed, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(msgspec.json.decode(self.body)["code"])


@dataclass
class TlsClient:
    """Speaks HTTP over TLS with one listener; as `device` if it has a certificate."""

    port: int
    trusted: bytes
    folder: Path
    held: Held | None = None
    maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    _file: Path = field(init=False)

    def __post_init__(self) -> None:
        self._file = self.folder / f"{uuid4().hex}.pem"
        if self.held is not None:
            self._file.write_bytes(self.held.pem())

    def context(self) -> ssl.SSLContext:
        made = ssl.create_default_context(cadata=self.trusted.decode())
        made.maximum_version = self.maximum
        if self.held is not None:
            made.load_cert_chain(self._file)
        return made

    @contextmanager
    def connected(self) -> Iterator[ssl.SSLSocket]:
        with (
            socket.create_connection(("127.0.0.1", self.port), 10) as plain,
            self.context().wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            yield secured

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
        """One request on a connection of its own."""
        with self.connected() as connection:
            return ask(connection, method, target, body, **headers)


def ask(connection: socket.socket, method: str, target: str, body: bytes = b"", **headers: str) -> Reply:
    """One request on an open connection."""
    named = {"Host": "localhost", "Content-Length": str(len(body)), "Content-Type": "application/json"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    connection.sendall(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
    answer = HTTPResponse(connection, method=method)
    answer.begin()
    return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def signed(held: Held, method: str, target: str, body: bytes = b"", off: float = 0.0, nonce: str = "") -> dict[str, str]:
    """The headers of a signed request; `off`: seconds that the signer's clock is off."""
    timestamp, nonce = str(int(time.time() + off)), nonce or uuid4().hex
    message = proofs.request(method, target, timestamp, nonce, body)
    return {"X_Device_Signature": held.sign(message), "X_Request_Timestamp": timestamp, "X_Request_Nonce": nonce}


def client_cert(held: Held) -> str:
    """A Client-Cert header (RFC 9440)."""
    return f":{base64.b64encode(held.der).decode()}:"
