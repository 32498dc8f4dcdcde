"""The authority's keys in files (PKCS#8, encrypted), and in memory."""

import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from connectors import private_files
from connectors.authority.port import NoKey, Signer
from connectors.authority.signing import PlainSigner

NAME = re.compile(r"[a-z0-9-]{1,64}")


class FileKeys:
    """One file a key, `NAME.key` in a folder: PEM, encrypted with the passphrase, readable by its owner only."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        self._folder, self._passphrase = folder, passphrase

    def make(self, name: str) -> Signer:
        key = ec.generate_private_key(ec.SECP256R1())
        encrypted = BestAvailableEncryption(self._passphrase)
        private_files.make(self._file(name), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encrypted))
        return self.signer(name)

    def signer(self, name: str) -> Signer:
        file = self._file(name)
        try:
            key = load_pem_private_key(private_files.read(file), self._passphrase)
        except (OSError, ValueError, TypeError, private_files.Exposed) as error:
            raise NoKey(f"the key {name} can't be opened: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise NoKey(f"{file} holds no P-256 key")
        return PlainSigner(key)

    def _file(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise NoKey(f"{name!r} is no name of a key: letters, digits and '-'")
        return self._folder / f"{name}.key"


class MemoryKeys:
    """Keys that end with the process."""

    def __init__(self) -> None:
        self._keys: dict[str, Signer] = {}

    def make(self, name: str) -> Signer:
        if not NAME.fullmatch(name):
            raise NoKey(f"{name!r} is no name of a key: letters, digits and '-'")
        return self._keys.setdefault(name, PlainSigner(ec.generate_private_key(ec.SECP256R1())))

    def signer(self, name: str) -> Signer:
        try:
            return self._keys[name]
        except KeyError:
            raise NoKey(f"there is no key {name}") from None
