"""Making the certificates and lists of the public key infrastructure (infra.pki says when)."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors import private_files
from connectors.authority import lists, profiles
from connectors.authority.port import Keys, NoKey, Signer
from infra.pki_files import DEVICES, Pki, number
from infra.settings import Settings

ROOT, SERVERS = "root", "servers"
ROOT_DAYS = 7300
SERVER_DAYS = 365
ROOT_LIST_DAYS = 365
DUE = 1 / 3
"""What is renewed by itself is renewed when less than this share of its life is left."""


class Making:
    """`now`: microseconds since 1970 UTC. Nobody else may change the files meanwhile."""

    def __init__(self, pki: Pki, kept: Keys, settings: Settings, now: int) -> None:
        self._pki, self._keys, self._settings, self._now = pki, kept, settings, now
        self._moment = datetime.fromtimestamp(now // 1_000_000, UTC)

    def make_root(self) -> None:
        signer = self._keys.make(ROOT)
        lived = profiles.life(self._now, ROOT_DAYS)
        self._keep(ROOT, profiles.root("fleetlog root", signer, x509.random_serial_number(), lived))

    def keep_servers(self) -> None:
        """The listeners' authority, renewed when due; it stays as it is where the root's key is kept elsewhere."""
        file = self._pki.authorities / f"{SERVERS}.pem"
        if not due(file, self._moment):
            return
        try:
            self._keep(SERVERS, self._below(profiles.servers, SERVERS, "fleetlog servers"))
        except NoKey:
            if not file.exists():
                raise

    def make_issuing(self) -> x509.Certificate:
        following = 1 + max((number(name) for name in self._pki.issuing()), default=0)
        made = self._below(profiles.issuing, f"{DEVICES}-{following}", f"fleetlog devices {following}")
        self._keep(f"{DEVICES}-{following}", made)
        return made

    def publish(self) -> None:
        """The public bundles, and the root's list, as they must be now. The list stays as it is where the root's key is
        kept elsewhere."""
        root = self._pki.certificate(ROOT)
        issuing = self._pki.issuing().values()
        for file, bundle in ((self._pki.trust, [root]), (self._pki.clients, [root, *issuing])):
            content = b"".join(one.public_bytes(Encoding.PEM) for one in bundle)
            if not file.exists() or file.read_bytes() != content:
                private_files.replace(file, content, 0o644)
        if self._list_due():
            self._make_root_list(root)

    def make_server(self) -> None:
        """A new key each time: key and certificate are one file, so they always fit."""
        key = ec.generate_private_key(ec.SECP256R1())
        parent = self._parent(SERVERS)
        lived = profiles.life(self._now, SERVER_DAYS, parent.certificate)
        serial = x509.random_serial_number()
        made = profiles.server(parent, self._settings.server_names, key.public_key(), serial, lived)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = (made.public_bytes(Encoding.PEM), parent.certificate.public_bytes(Encoding.PEM))
        private_files.replace(self._pki.server, b"".join((private, *chain)))

    def _below(
        self,
        profile: Callable[[profiles.Parent, str, Signer, int, profiles.Life], x509.Certificate],
        name: str,
        subject: str,
    ) -> x509.Certificate:
        """The certificate of an authority below the root."""
        parent = self._parent(ROOT)
        lived = profiles.life(self._now, self._settings.ca_days, parent.certificate)
        return profile(parent, subject, self._keys.make(name), x509.random_serial_number(), lived)

    def _parent(self, name: str) -> profiles.Parent:
        return profiles.Parent(self._pki.certificate(name), self._keys.signer(name), self._settings.authority)

    def _keep(self, name: str, certificate: x509.Certificate) -> None:
        private_files.replace(self._pki.authorities / f"{name}.pem", certificate.public_bytes(Encoding.PEM), 0o644)

    def _list_due(self) -> bool:
        if not self._pki.root_list.exists():
            return True
        known = x509.load_der_x509_crl(self._pki.root_list.read_bytes())
        assert known.next_update_utc is not None
        return _ends(known.last_update_utc, known.next_update_utc, self._moment)

    def _make_root_list(self, root: x509.Certificate) -> None:
        try:
            signer = self._keys.signer(ROOT)
        except NoKey:
            if self._pki.root_list.exists():
                return
            raise
        parent = profiles.Parent(root, signer, self._settings.authority)
        made = lists.signed(parent, (), self._now, self._now, ROOT_LIST_DAYS * 86_400)
        private_files.replace(self._pki.root_list, made, 0o644)


def due(file: Path, moment: datetime) -> bool:
    """Whether a certificate is to be renewed."""
    if not file.exists():
        return True
    certificate = x509.load_pem_x509_certificates(file.read_bytes())[0]
    return _ends(certificate.not_valid_before_utc, certificate.not_valid_after_utc, moment)


def server_due(pki: Pki, names: Collection[str], moment: datetime) -> bool:
    """Whether the listeners' certificate is to be renewed, or has other names than these."""
    if due(pki.server, moment):
        return True
    certificate = x509.load_pem_x509_certificates(private_files.read(pki.server))[0]
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in held} != set(names)


def _ends(first: datetime, last: datetime, moment: datetime) -> bool:
    return moment > last - (last - first) * DUE
