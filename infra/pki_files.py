"""Where the public key infrastructure's files are."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

DEVICES = "devices"


@dataclass(frozen=True, slots=True)
class Pki:
    """Where everything is. Certificates are PEM and public; keys and secrets are readable by their owner only."""

    folder: Path

    @property
    def trust(self) -> Path:
        """The root's certificate: what a device trusts, and whoever checks a device's chain."""
        return self.folder / "ca.pem"

    @property
    def clients(self) -> Path:
        """What a listener trusts that asks for devices' certificates: the root and the issuing authorities."""
        return self.folder / "clients.pem"

    @property
    def server(self) -> Path:
        """The listeners' private key, certificate and chain in one file, as ssl's load_cert_chain takes it."""
        return self.folder / "server.pem"

    @property
    def ledger_key(self) -> Path:
        """Ed25519, PKCS#8 PEM. Its public key is in `ledger.pub`."""
        return self.folder / "ledger.key"

    @property
    def ledger_public_key(self) -> Path:
        return self.folder / "ledger.pub"

    @property
    def root_list(self) -> Path:
        """The root's certificate revocation list, DER: of the authorities below it."""
        return self.folder / "root.crl"

    @property
    def authorities(self) -> Path:
        """One certificate an authority: root.pem, servers.pem, devices-1.pem ..."""
        return self.folder / "authorities"

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.authorities / f"{name}.pem").read_bytes())

    def issuing(self) -> dict[str, x509.Certificate]:
        """The certificates of the authorities for devices, by the names of their keys, oldest first."""
        names = [file.stem for file in self.authorities.glob(f"{DEVICES}-*.pem")]
        return {name: self.certificate(name) for name in sorted(names, key=number)}


def number(name: str) -> int:
    """Of an authority for devices, by the name of its key."""
    return int(name.removeprefix(f"{DEVICES}-"))
