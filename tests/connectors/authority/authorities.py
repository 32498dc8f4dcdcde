"""An authority in memory, and requests to it."""

from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from connectors import keys as device_keys
from connectors.authority import profiles
from connectors.authority.file_keys import MemoryKeys
from connectors.authority.issuing import CertificateAuthority, Options
from connectors.authority.port import Keys
from schemas.certificate_messages import IssueCertificate

NOW = 1_800_000_000_000_000  # microseconds
SECOND, DAY = 1_000_000, 86_400_000_000
URL = "http://127.0.0.1:8086"
OPTIONS = Options(URL, days=90, list_seconds=3600, fresh_seconds=300)
SECRET = b"a secret of serial numbers"

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass
class Shelf:
    """The authority's certificates, and where its keys are."""

    keys: Keys
    root: x509.Certificate
    issuing: dict[str, x509.Certificate] = field(default_factory=dict)

    def add(self, at: int = NOW, days: int = 1825) -> x509.Certificate:
        """One more issuing authority."""
        parent = profiles.Parent(self.root, self.keys.signer("root"), URL)
        name = f"devices-{len(self.issuing) + 1}"
        lived = profiles.life(at, days, self.root)
        made = profiles.issuing(parent, f"fleetlog {name}", self.keys.make(name), x509.random_serial_number(), lived)
        self.issuing[name] = made
        return made

    def authority(self, options: Options = OPTIONS) -> CertificateAuthority:
        return CertificateAuthority(options, self.keys, self.root, lambda: self.issuing, SECRET)


def shelf(keys: Keys | None = None, at: int = NOW - DAY) -> Shelf:
    """A root and one issuing authority, of the day before."""
    held = keys or MemoryKeys()
    root = profiles.root("fleetlog root", held.make("root"), x509.random_serial_number(), profiles.life(at, 7300))
    made = Shelf(held, root)
    made.add(at)
    return made


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def request(key: PrivateKey, subject: x509.Name | None = None, *extensions: x509.ExtensionType) -> bytes:
    """A certification request, DER."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or x509.Name([]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hash_of(key)).public_bytes(Encoding.DER)


def hash_of(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def command(key: PrivateKey, **fields: Any) -> IssueCertificate:
    given: dict[str, Any] = {
        "command_id": "0190a0b0-0000-7000-8000-000000000001",
        "correlation_id": "0190a0b0-0000-7000-8000-000000000000",
        "actor": "registration",
        "issued_at": NOW,
        "hardware_id": "SN-0001",
        "device_id": "device-1",
        "session_id": "0190a0b0-0000-7000-8000-000000000002",
        "purpose": "registration",
        "previous_serial": None,
        "public_key": device_keys.der(key.public_key()),
        "key_mode": "csr",
        "csr": None,
        "owner": None,
        "model": None,
    } | fields
    if given["key_mode"] == "csr" and "csr" not in fields:
        given["csr"] = request(key)
    return IssueCertificate(**given)
