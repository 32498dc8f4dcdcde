"""A Signer in the shape in which the cryptography package takes private keys, for its builders of certificates, lists and
messages."""

from typing import NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, KeySerializationEncryption, PrivateFormat

from connectors.authority.port import Signer

HASH = hashes.SHA256()
DETERMINISTIC = ec.ECDSA(HASH, deterministic_signing=True)
"""RFC 6979: the same message gives the same signature, and no weak random number can give the key away."""


class PlainSigner:
    """A Signer of a key in this process's memory."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key, self._public_key = key, key.public_key()

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message, DETERMINISTIC)


class SigningKey(ec.EllipticCurvePrivateKey):
    """What the builders call is `sign` and `public_key`; the rest of the interface needs the key itself."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def sign(self, data: bytes, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # type: ignore[override]
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, utils.Prehashed) or algorithm.name != HASH.name:
            raise ValueError(f"the authority signs with SHA-256, not with {algorithm}")
        return self._signer.sign(data)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._signer.public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._signer.public_key.curve

    @property
    def key_size(self) -> int:
        return self._signer.public_key.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        raise NotImplementedError("the key signs only")

    def private_numbers(self) -> NoReturn:
        raise NotImplementedError("the key can't be read")

    def private_bytes(
        self, encoding: Encoding, format: PrivateFormat, encryption_algorithm: KeySerializationEncryption
    ) -> NoReturn:
        raise NotImplementedError("the key can't be read")

    def __copy__(self) -> "SigningKey":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "SigningKey":
        return self
