"""A private key on its way from the server that made it to its device: PKCS#8, encrypted for the device's registered key
with AES-256-GCM (CMS AuthEnvelopedData), signed by the authority (CMS SignedData). Both sides.

`openssl cms -verify` and `openssl cms -decrypt` open it as well. A registered Ed25519 key can only sign: nothing can be
encrypted for it.
"""

import os
from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7

from connectors import cms_types as cms
from connectors.keys import PublicKey

KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
SIGNING = (pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes)
# One hash throughout; MGF1 with the same one, as RFC 8017 recommends.
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_SHA256 = cms.HashAlgorithm(algorithm=cms.SHA256, parameters=asn1.Null())
_OAEP = cms.OaepAlgorithm(
    algorithm=cms.RSA_OAEP,
    parameters=cms.OaepParameters(hash=_SHA256, mask=cms.MaskAlgorithm(algorithm=cms.MGF1, parameters=_SHA256)),
)
_WRAP = cms.Algorithm(algorithm=cms.AES_256_WRAP)


class NotSealable(ValueError):
    """Nothing can be encrypted for the key."""


class NotOpened(ValueError):
    """It is not from the authority, was changed, or is for another key; the text says which."""


def seal(private_key: bytes, recipient: PublicKey) -> bytes:
    """AuthEnvelopedData, DER, of a private key (PKCS#8, DER).

    Raises:
        NotSealable: the recipient's key can't decrypt.
    """
    key, nonce = AESGCM.generate_key(KEY_BYTES * 8), os.urandom(NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, private_key, None)
    algorithm = cms.ContentAlgorithm(
        algorithm=cms.AES_256_GCM, parameters=cms.GcmParameters(nonce=nonce, tag_length=TAG_BYTES)
    )
    content = cms.AuthEnvelopedData(
        version=0,
        recipients=asn1.SetOf([_for(recipient, key)]),
        encrypted=cms.EncryptedContent(content_type=cms.DATA, algorithm=algorithm, content=sealed[:-TAG_BYTES]),
        mac=sealed[-TAG_BYTES:],
    )
    return asn1.encode_der(cms.AuthEnveloped(content_type=cms.AUTH_ENVELOPED_DATA, content=content))


def sign(envelope: bytes, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bytes:
    """SignedData, DER, around an envelope, with the signer's certificate."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(envelope).add_signer(certificate, key, hashes.SHA256())
    return builder.sign(Encoding.DER, SIGNING)


def unseal(
    message: bytes, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, authorities: Iterable[x509.Certificate]
) -> bytes:
    """The private key (PKCS#8, DER) in what `sign` gave.

    Args:
        authorities: certificates of issuing authorities, which the caller trusts.

    Raises:
        NotOpened: see there.
    """
    envelope = _verified(message, authorities)
    try:
        content = asn1.decode_der(cms.AuthEnveloped, envelope).content
        (recipient,) = content.recipients.as_list()
        parameters = content.encrypted.algorithm.parameters
        cipher = AESGCM(_content_key(recipient, key))
        return cipher.decrypt(parameters.nonce, content.encrypted.content + content.mac, None)
    except (ValueError, TypeError, InvalidTag, InvalidUnwrap) as error:
        raise NotOpened(f"it is not for this key, or was changed: {error}") from None


def _verified(message: bytes, authorities: Iterable[x509.Certificate]) -> bytes:
    try:
        signed = asn1.decode_der(cms.Signed, message).content
        (signer,) = signed.signers.as_list()
    except ValueError as error:
        raise NotOpened(f"no CMS SignedData of one signer: {error}") from None
    content = signed.encapsulated.content
    for authority in authorities:
        if authority.serial_number == signer.signer.serial:
            key = authority.public_key()
            assert isinstance(key, ec.EllipticCurvePublicKey)
            try:
                key.verify(signer.signature, content, ec.ECDSA(hashes.SHA256()))
            except InvalidSignature:
                raise NotOpened("its signature is not the authority's") from None
            return content
    raise NotOpened("it is signed by none of the authorities")


def _for(recipient: PublicKey, key: bytes) -> cms.KeyTransport | cms.KeyAgreement:
    """The content's key, for the recipient alone."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(recipient).digest
    if isinstance(recipient, rsa.RSAPublicKey):
        encrypted = recipient.encrypt(key, OAEP)
        return cms.KeyTransport(version=2, recipient=identifier, algorithm=_OAEP, encrypted_key=encrypted)
    if not isinstance(recipient, ec.EllipticCurvePublicKey):
        raise NotSealable("an Ed25519 key can't decrypt: a key made by the server needs a registered EC or RSA key")
    once = ec.generate_private_key(recipient.curve)
    wrapped = aes_key_wrap(_derived(once.exchange(ec.ECDH(), recipient)), key)
    point = once.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return cms.KeyAgreement(
        version=3,
        originator=cms.OriginatorKey(
            algorithm=cms.Algorithm(algorithm=cms.EC_PUBLIC_KEY), public_key=asn1.BitString(point, 0)
        ),
        algorithm=cms.AgreementAlgorithm(algorithm=cms.ECDH_SHA256_KDF, parameters=_WRAP),
        keys=[
            cms.RecipientKey(recipient=cms.RecipientKeyIdentifier(subject_key_identifier=identifier), encrypted_key=wrapped)
        ],
    )


def _content_key(
    recipient: cms.KeyTransport | cms.KeyAgreement, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        if not isinstance(recipient, cms.KeyTransport):
            raise NotOpened("it is for an EC key")
        return key.decrypt(recipient.encrypted_key, OAEP)
    if not isinstance(recipient, cms.KeyAgreement) or not isinstance(recipient.originator, cms.OriginatorKey):
        raise NotOpened("it is for an RSA key")
    point = recipient.originator.public_key.as_bytes()
    once = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, point)
    (wrapped,) = recipient.keys
    return aes_key_unwrap(_derived(key.exchange(ec.ECDH(), once)), wrapped.encrypted_key)


def _derived(shared: bytes) -> bytes:
    """The key that wraps the content's key (RFC 5753, 7.1.4)."""
    info = cms.SharedInfo(wrap=_WRAP, key_bits=(KEY_BYTES * 8).to_bytes(4, "big"))
    return X963KDF(hashes.SHA256(), KEY_BYTES, asn1.encode_der(info)).derive(shared)
