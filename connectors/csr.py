"""Certification requests (PKCS#10, RFC 2986) of devices: what the fleet takes. Functions of their arguments alone.

A request says one thing: whoever sent it holds the private key. All that a certificate says beside that (names, uses,
life) is the authority's to say, so a request that asks for it is refused rather than trimmed: its sender expects a
certificate that it will not get.
"""

from collections.abc import Collection

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AttributeOID, NameOID

from connectors import keys

MOST_BYTES = 8192
"""Of a request in DER: one of an RSA key of 8192 bits has 2,200."""
UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
TAKEN_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class BadCsr(ValueError):
    """Not a request that the fleet takes; the text names the fault."""


def checked_csr(der: bytes, public_key: bytes | None, names: Collection[str] = ()) -> x509.CertificateSigningRequest:
    """The request in `der` if it is one for `public_key` (SubjectPublicKeyInfo, DER; None: any key that the fleet takes),
    signed by that key, that asks for nothing: no extensions, no attributes, and no subject but, if any, a single common
    name that is one of `names` (device id, hardware id).

    Raises:
        BadCsr: it isn't.
    """
    if len(der) > MOST_BYTES:
        raise BadCsr(f"a request of {len(der)} bytes; at most {MOST_BYTES} are taken")
    try:
        request = x509.load_der_x509_csr(der)
        key = keys.der(keys.checked(request.public_key()))
        attributes = list(request.attributes)
        subject = list(request.subject)
    except keys.BadKey as error:
        raise BadCsr(f"for {error}") from None
    except UNREADABLE as error:
        raise BadCsr(f"no certification request (PKCS#10, DER): {error}") from None
    if public_key is not None and key != public_key:
        raise BadCsr("for another key than the device's")
    _ask_for_nothing(attributes)
    _name_only(subject, names)
    _signed(request)
    return request


def requested_key(der: bytes) -> bytes:
    """The key that a request is for, SubjectPublicKeyInfo in DER. Of a checked request.

    Raises:
        BadCsr: it can't be read.
    """
    try:
        return keys.der(keys.checked(x509.load_der_x509_csr(der).public_key()))
    except UNREADABLE as error:
        raise BadCsr(f"no certification request (PKCS#10, DER): {error}") from None


def _ask_for_nothing(attributes: Collection[x509.Attribute]) -> None:
    for attribute in attributes:
        if attribute.oid == AttributeOID.CHALLENGE_PASSWORD:
            raise BadCsr("it holds a challengePassword")
        if attribute.oid.dotted_string == "1.2.840.113549.1.9.14":  # extensionRequest, RFC 2985 section 5.4.2
            raise BadCsr("it asks for extensions (such as a subjectAltName): the authority alone names the device")
        raise BadCsr(f"it holds an attribute {attribute.oid.dotted_string}")


def _name_only(subject: Collection[x509.NameAttribute[str | bytes]], names: Collection[str]) -> None:
    if len(subject) > 1:
        raise BadCsr(f"its subject has {len(subject)} parts; none, or one common name, is taken")
    for part in subject:
        if part.oid != NameOID.COMMON_NAME:
            raise BadCsr(f"its subject has a {part.rfc4514_attribute_name}; none, or one common name, is taken")
        if part.value not in names:
            raise BadCsr("its common name is neither the device's id nor its hardware id")


def _signed(request: x509.CertificateSigningRequest) -> None:
    try:
        # A weak hash would let one signature stand for two requests.
        weak = request.signature_hash_algorithm
        good = isinstance(weak, (*TAKEN_HASHES, type(None))) and request.is_signature_valid
    except (*UNREADABLE, InvalidSignature) as error:
        raise BadCsr(f"its signature can't be checked: {error}") from None
    if not good:
        raise BadCsr("its signature is not good (by its own key, with SHA-2, is)")
