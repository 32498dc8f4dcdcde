"""What a device checks of what the server gave it, before it keeps it: the certificate, and its place in the ledger.

A device trusts what it was given at its making: the roots of the fleet's authorities, and the ledger's key.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from connectors import keys, sealed_key
from infra.device.keystore import PrivateKey
from infra.device.registration import Bundle, NotTrusted
from schemas import device_uri
from schemas.transparency import merkle, notes

CLOCKS_APART = timedelta(minutes=5)  # a device without a clock battery may be behind the server by so much
MOST_AUTHORITIES = 4


@dataclass(frozen=True)
class Trust:
    """What a device was given to check with.

    roots: the fleet's root certificates; empty: none was given, and nothing can be checked against them.
    ledger_key: the ledger's key as a note's verifier key (NAME+ID+BASE64); empty: the ledger is not checked.
    entry: gives the ledger's entry of a certificate's serial, from the public ledger.
    """

    roots: Sequence[x509.Certificate]
    ledger_key: str = ""
    entry: Callable[[str], bytes] | None = None


def certificates(pem: str) -> list[x509.Certificate]:
    """Those in a PEM text, in order.

    Raises:
        NotTrusted: there is none, or one is none.
    """
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise NotTrusted(f"not a certificate: {error}") from None


def check_certificate(
    bundle: Bundle, public_key: bytes, roots: Sequence[x509.Certificate], now: datetime
) -> x509.Certificate:
    """The device's certificate, if it is one of its own key and id, valid now, below one of the roots.

    Raises:
        NotTrusted
    """
    (own, *_rest) = certificates(bundle.certificate)
    if keys.der(keys.checked(own.public_key())) != public_key:
        raise NotTrusted("the certificate is of another key than the device's")
    named = device_ids(own)
    if named != [bundle.device_id]:
        raise NotTrusted(f"the certificate names {', '.join(named) or 'no device'}, not {bundle.device_id}")
    if int(bundle.serial, 16) != own.serial_number:
        raise NotTrusted(f"the certificate's serial is {own.serial_number:x}, not {bundle.serial}")
    _check_chain(own, certificates(bundle.chain), roots, now)
    return own


def opened_key(bundle: Bundle, key: PrivateKey, roots: Sequence[x509.Certificate], now: datetime) -> PrivateKey:
    """The private key that the server made, sealed for the device's registered `key` by an authority below the roots.

    Raises:
        NotTrusted: it is not sealed so, or not the certificate's.
    """
    own, authorities = certificates(bundle.certificate)[0], certificates(bundle.chain)
    _check_chain(own, authorities, roots, now)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raise NotTrusted("nothing can be sealed for an Ed25519 key")
    issuers = [one for one in authorities if _issued(one, own)]
    try:
        opened = sealed_key.unseal(base64.b64decode(bundle.sealed_key or "", validate=True), key, issuers)
        made = load_der_private_key(opened, None)
        keys.checked(made.public_key())
    except (ValueError, TypeError) as error:
        raise NotTrusted(f"the sealed key can't be opened: {error}") from None
    if made.public_key() != own.public_key():
        raise NotTrusted("the sealed key is not the certificate's")
    assert isinstance(made, PrivateKey)
    return made


def device_ids(certificate: x509.Certificate) -> list[str]:
    """The devices that a certificate names in its URIs."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return [found for uri in uris if (found := device_uri.device_id(uri)) is not None]


def _check_chain(
    own: x509.Certificate, chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime
) -> None:
    anchors = {root.public_bytes(Encoding.DER) for root in roots}
    below = own
    for _ in range(MOST_AUTHORITIES):
        _check_valid(below, now)
        if below is not own and below.public_bytes(Encoding.DER) in anchors:
            return
        issuers = [one for one in (*chain, *roots) if one.subject == below.issuer and one is not below]
        issuer = next((one for one in issuers if _issued(one, below)), None)
        if issuer is None:
            break
        below = issuer
    raise NotTrusted("the certificate's chain does not end at a root that the device trusts")


def _issued(issuer: x509.Certificate, below: x509.Certificate) -> bool:
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        below.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return constraints.ca


def _check_valid(certificate: x509.Certificate, now: datetime) -> None:
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not first - CLOCKS_APART <= now <= last:
        raise NotTrusted(f"a certificate of the chain is valid from {first} to {last}, and it is {now:%Y-%m-%d %H:%M:%S}")


def renewal_due(certificate: x509.Certificate) -> datetime:
    """When two thirds of its life are over."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return first + (last - first) * 2 / 3


def check_ledger(bundle: Bundle, certificate: x509.Certificate, trust: Trust) -> None:
    """That the ledger, by a checkpoint that its key signed, holds this very certificate at the place that the bundle says.

    Raises:
        NotTrusted: it doesn't, or the ledger can't be asked.
    """
    if trust.entry is None:
        raise NotTrusted("there is no ledger to ask for the certificate's entry")
    entry = trust.entry(bundle.serial)
    try:
        entered = json.loads(entry)
        same = base64.b64decode(entered["certificate"], validate=True) == certificate.public_bytes(Encoding.DER)
        head = notes.opened(bundle.ledger["checkpoint"], notes.parse_key(trust.ledger_key))
        proof = [base64.b64decode(one, validate=True) for one in bundle.ledger["inclusion_proof"]]
        index, size = int(bundle.ledger["leaf_index"]), int(bundle.ledger["tree_size"])
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise NotTrusted(f"the ledger's proof is not readable: {error!r}") from None
    if not same:
        raise NotTrusted("the ledger's entry of this serial holds another certificate")
    if head.size != size:
        raise NotTrusted(f"the proof is of a tree of {size}, the checkpoint of one of {head.size}")
    if not merkle.included(merkle.leaf_hash(entry), index, size, head.root, proof):
        raise NotTrusted("the proof does not lead to the ledger's signed head")


def check(bundle: Bundle, public_key: bytes, trust: Trust, now: datetime | None = None) -> x509.Certificate:
    """All of it, as far as there is something to check with.

    Raises:
        NotTrusted
    """
    own = check_certificate(bundle, public_key, trust.roots, now or datetime.now(UTC))
    if trust.ledger_key:
        check_ledger(bundle, own, trust)
    return own
