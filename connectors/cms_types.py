"""The parts of the Cryptographic Message Syntax that `connectors.sealed_key` writes and reads, as ASN.1 types:
AuthEnvelopedData (RFC 5083) with AES-GCM (RFC 5084) for a recipient of an EC key (RFC 5753) or an RSA key (RFC 8017), and
SignedData (RFC 5652).
"""

from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1

DATA = x509.ObjectIdentifier("1.2.840.113549.1.7.1")
SIGNED_DATA = x509.ObjectIdentifier("1.2.840.113549.1.7.2")
AUTH_ENVELOPED_DATA = x509.ObjectIdentifier("1.2.840.113549.1.9.16.1.23")
AES_256_GCM = x509.ObjectIdentifier("2.16.840.1.101.3.4.1.46")
AES_256_WRAP = x509.ObjectIdentifier("2.16.840.1.101.3.4.1.45")
ECDH_SHA256_KDF = x509.ObjectIdentifier("1.3.132.1.11.1")  # dhSinglePass-stdDH-sha256kdf-scheme
EC_PUBLIC_KEY = x509.ObjectIdentifier("1.2.840.10045.2.1")
RSA_OAEP = x509.ObjectIdentifier("1.2.840.113549.1.1.7")
MGF1 = x509.ObjectIdentifier("1.2.840.113549.1.1.8")
SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")


@asn1.sequence
class Algorithm:
    """An AlgorithmIdentifier without parameters."""

    algorithm: x509.ObjectIdentifier


@asn1.sequence
class HashAlgorithm:
    algorithm: x509.ObjectIdentifier
    parameters: asn1.Null | None


@asn1.sequence
class MaskAlgorithm:
    algorithm: x509.ObjectIdentifier
    parameters: HashAlgorithm


@asn1.sequence
class OaepParameters:
    hash: Annotated[HashAlgorithm, asn1.Explicit(0)]
    mask: Annotated[MaskAlgorithm, asn1.Explicit(1)]


@asn1.sequence
class OaepAlgorithm:
    algorithm: x509.ObjectIdentifier
    parameters: OaepParameters


@asn1.sequence
class AgreementAlgorithm:
    """The parameters are the algorithm that wraps the content's key."""

    algorithm: x509.ObjectIdentifier
    parameters: Algorithm


@asn1.sequence
class GcmParameters:
    nonce: bytes
    tag_length: Annotated[int, asn1.Default(12)]


@asn1.sequence
class ContentAlgorithm:
    algorithm: x509.ObjectIdentifier
    parameters: GcmParameters


@asn1.sequence
class IssuerAndSerial:
    issuer: asn1.TLV
    serial: int


@asn1.sequence
class KeyTransport:
    """KeyTransRecipientInfo, the recipient named by its subject key identifier."""

    version: int
    recipient: Annotated[bytes, asn1.Implicit(0)]
    algorithm: OaepAlgorithm
    encrypted_key: bytes


@asn1.sequence
class OriginatorKey:
    """The sender's one-time key; its curve is the recipient's."""

    algorithm: Algorithm
    public_key: asn1.BitString


@asn1.sequence
class RecipientKeyIdentifier:
    subject_key_identifier: bytes


@asn1.sequence
class RecipientKey:
    recipient: Annotated[RecipientKeyIdentifier, asn1.Implicit(0)]
    encrypted_key: bytes


@asn1.sequence
class KeyAgreement:
    """KeyAgreeRecipientInfo with a one-time key of the sender."""

    version: int
    originator: Annotated[
        IssuerAndSerial | Annotated[bytes, asn1.Implicit(0)] | Annotated[OriginatorKey, asn1.Implicit(1)],
        asn1.Explicit(0),
    ]
    algorithm: AgreementAlgorithm
    keys: list[RecipientKey]


@asn1.sequence
class SharedInfo:
    """ECC-CMS-SharedInfo (RFC 5753, 7.2): what the key derivation is bound to."""

    wrap: Algorithm
    key_bits: Annotated[bytes, asn1.Explicit(2)]


@asn1.sequence
class EncryptedContent:
    content_type: x509.ObjectIdentifier
    algorithm: ContentAlgorithm
    content: Annotated[bytes, asn1.Implicit(0)]


@asn1.sequence
class AuthEnvelopedData:
    version: int
    recipients: asn1.SetOf[KeyTransport | Annotated[KeyAgreement, asn1.Implicit(1)]]
    encrypted: EncryptedContent
    mac: bytes


@asn1.sequence
class AuthEnveloped:
    """ContentInfo of AuthEnvelopedData."""

    content_type: x509.ObjectIdentifier
    content: Annotated[AuthEnvelopedData, asn1.Explicit(0)]


@asn1.sequence
class EncapsulatedContent:
    content_type: x509.ObjectIdentifier
    content: Annotated[bytes, asn1.Explicit(0)]


@asn1.sequence
class SignerInfo:
    version: int
    signer: IssuerAndSerial
    digest: asn1.TLV
    algorithm: asn1.TLV
    signature: bytes


@asn1.sequence
class SignedData:
    version: int
    digests: asn1.SetOf[asn1.TLV]
    encapsulated: EncapsulatedContent
    certificates: Annotated[asn1.SetOf[x509.Certificate], asn1.Implicit(0)]
    signers: asn1.SetOf[SignerInfo]


@asn1.sequence
class Signed:
    """ContentInfo of SignedData."""

    content_type: x509.ObjectIdentifier
    content: Annotated[SignedData, asn1.Explicit(0)]
