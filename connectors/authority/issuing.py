"""The certificate authority of the devices: fills `port.Authority` with keys and certificates, wherever they are kept."""

import hmac
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from connectors import keys as device_keys
from connectors import sealed_key
from connectors.authority import profiles
from connectors.authority.lists import RevocationLists, moment
from connectors.authority.ocsp_responder import OcspResponder
from connectors.authority.port import Issued, Issuer, Keys, NoKey, Refused, Revoked, Signer, Statuses
from connectors.authority.signing import SigningKey
from connectors.csr import BadCsr, checked_csr
from connectors.keys import PublicKey
from schemas.certificate_messages import IssueCertificate

SERIAL_BYTES = 16


class Options(NamedTuple):
    """`url`: what certificates name as the address of lists and responder. Lives are of certificates (days), full lists,
    and deltas and OCSP answers (seconds)."""

    url: str
    days: int
    list_seconds: int
    fresh_seconds: int


class CertificateAuthority:
    """See port.Authority."""

    def __init__(
        self,
        options: Options,
        keys: Keys,
        root: x509.Certificate,
        certificates: Callable[[], Mapping[str, x509.Certificate]],
        serial_secret: bytes,
    ) -> None:
        """`certificates` gives those of the issuing authorities by the names of their keys, oldest first.

        Raises:
            NoKey: the key of one of them can't be opened.
            connectors.ports.Away: the key's keeper does not answer.
        """
        self._options, self._keys, self._root = options, keys, root
        self._certificates, self._serial_secret = certificates, serial_secret
        self._parents: dict[str, profiles.Parent] = {}
        self._lists: dict[str, RevocationLists] = {}
        self._adding = threading.Lock()
        self._responder = OcspResponder(lambda: list(self._parents.values()), options.fresh_seconds)
        self.authorities()

    def authorities(self) -> Sequence[Issuer]:
        with self._adding:
            for name, certificate in self._certificates().items():
                if _issuer(certificate).key_id not in self._parents:
                    self._add(certificate, self._keys.signer(name))
        return [_issuer(parent.certificate) for parent in self._parents.values()]

    def check_issuer(self, certificate: bytes) -> Issuer:
        try:
            given = x509.load_der_x509_certificate(certificate)
            given.verify_directly_issued_by(self._root)
            limits = given.extensions.get_extension_for_class(x509.BasicConstraints).value
            uses = given.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
            raise Refused("CERTIFICATE_UNKNOWN", f"no authority that the root vouches for: {error}") from None
        if not limits.ca or limits.path_length != 0 or ExtendedKeyUsageOID.CLIENT_AUTH not in uses:
            raise Refused("CERTIFICATE_UNKNOWN", "no certificate of an issuing authority for devices")
        return _issuer(given)

    def issue(self, command: IssueCertificate, trusted: Collection[str] | None = None) -> Issued:
        parent = self._signing(command, trusted)
        key, private_key = _key(command)
        sealed = None if private_key is None else self._sealed(parent, private_key, command.public_key)
        lived = profiles.life(command.issued_at, self._options.days, parent.certificate)
        serial = self._serial(command.command_id)
        try:
            made = profiles.device(parent, command.device_id, key, serial, lived)
        except ValueError as error:
            raise Refused("REG-008", str(error)) from None
        return Issued(
            certificate=made.public_bytes(Encoding.DER),
            chain=(parent.der,),
            serial=f"{serial:x}",
            not_before=_micros(lived.first),
            not_after=_micros(lived.last),
            key_algorithm=device_keys.algorithm(key),
            key_hash=device_keys.key_hash(device_keys.der(key)),
            issuer_key_id=parent.key_id,
            sealed_key=sealed,
        )

    def crl(self, key_id: str, revoked: Collection[Revoked], now: int) -> bytes:
        return self._lists[key_id].full(revoked, now)

    def delta(self, key_id: str, revoked: Collection[Revoked], now: int) -> bytes:
        return self._lists[key_id].delta(revoked, now)

    def ocsp(self, request: bytes, status: Statuses, now: int) -> bytes:
        return self._responder.answer(request, status, now)

    def _add(self, certificate: x509.Certificate, signer: Signer) -> None:
        if signer.public_key != certificate.public_key():
            raise NoKey(f"the key at hand is not that of {certificate.subject.rfc4514_string()}")
        parent = profiles.Parent(certificate, signer, self._options.url)
        self._lists[parent.key_id] = RevocationLists(parent, self._options.list_seconds, self._options.fresh_seconds)
        self._parents = {parent.key_id: parent, **self._parents}  # whole at once: other threads read it

    def _signing(self, command: IssueCertificate, trusted: Collection[str] | None) -> profiles.Parent:
        """The newest authority that is trusted and alive."""
        at = moment(command.issued_at)
        for key_id, parent in self._parents.items():
            alive = parent.certificate.not_valid_before_utc <= at < parent.certificate.not_valid_after_utc
            if alive and (trusted is None or key_id in trusted):
                return parent
        raise Refused("REG-008", "there is no issuing authority that is trusted and has not expired")

    def _serial(self, command_id: str) -> int:
        """126 bits that nobody can foretell without the secret (the CA/Browser Forum's baseline wants 64), and the same for
        the same command; always positive and of 16 bytes."""
        digest = hmac.digest(self._serial_secret, command_id.encode(), "sha256")[:SERIAL_BYTES]
        return int.from_bytes(bytes([digest[0] & 0x3F | 0x40]) + digest[1:], "big")

    def _sealed(self, parent: profiles.Parent, private_key: bytes, registered: bytes) -> bytes:
        try:
            envelope = sealed_key.seal(private_key, device_keys.load(registered))
        except (sealed_key.NotSealable, device_keys.BadKey) as error:
            raise Refused("BAD_PUBLIC_KEY", str(error)) from None
        return sealed_key.sign(envelope, parent.certificate, SigningKey(parent.signer))


def _key(command: IssueCertificate) -> tuple[PublicKey, bytes | None]:
    """The certificate's key, and where the server makes it its private half (PKCS#8, DER), which goes nowhere but into the
    envelope for the device."""
    if command.key_mode == "server":
        made = ec.generate_private_key(ec.SECP256R1())
        return made.public_key(), made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if command.csr is None:
        raise Refused("BAD_CSR", "there is no certification request")
    try:
        request = checked_csr(command.csr, command.public_key, (command.device_id, command.hardware_id))
        return device_keys.checked(request.public_key()), None
    except (BadCsr, device_keys.BadKey) as error:
        raise Refused("BAD_CSR", str(error)) from None


def _issuer(certificate: x509.Certificate) -> Issuer:
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Issuer(identifier.hex(), _micros(first), _micros(last), certificate.public_bytes(Encoding.DER))


def _micros(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
