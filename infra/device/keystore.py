"""What a device keeps: a folder of small files, each replaced in one step, private ones readable by their owner only.

| file | holds |
| --- | --- |
| `key.pem` | the private key, PKCS#8 |
| `next-key.pem` | the key that is to take its place, while a rotation is under way |
| `certificate.pem`, `chain.pem` | its certificate, and those of the authorities above it |
| `device.json` | who it is, its ledger proof, where to talk to, its configuration |
| `progress.json` | a registration, renewal or rotation under way: what was asked last, to be asked again in the same words |
"""

import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from connectors import keys

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
ALGORITHMS = ("p256", "ed25519", "rsa")
RSA_BITS = 3072
KEY, NEXT_KEY, CERTIFICATE, CHAIN = "key.pem", "next-key.pem", "certificate.pem", "chain.pem"
ABOUT, PROGRESS = "device.json", "progress.json"


class NothingKept(Exception):
    """The folder doesn't hold what is asked for, or something else under its name; the text says what and why."""


def generate(algorithm: str = "p256") -> PrivateKey:
    """A fresh private key: one of ALGORITHMS."""
    if algorithm == "p256":
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "rsa":
        return rsa.generate_private_key(65_537, RSA_BITS)
    raise ValueError(f"no algorithm {algorithm!r}; there are {', '.join(ALGORITHMS)}")


def sign(key: PrivateKey, message: bytes) -> bytes:
    """A signature as connectors.keys.verifies takes it."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, padding.PKCS1v15(), hashes.SHA256())


def public_der(key: PrivateKey) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return keys.der(key.public_key())


def private_pem(key: PrivateKey) -> bytes:
    """PKCS#8, PEM, unencrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Keystore:
    """A device's folder. Methods raise OSError where the file system refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        return self.folder / name

    def has(self, name: str) -> bool:
        return self.path(name).exists()

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in one step; it is on the disk when this returns."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.path(f".{name}.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path(name))
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name too
        finally:
            os.close(folder)

    def read(self, name: str) -> bytes:
        """
        Raises:
            NothingKept
        """
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            raise NothingKept(f"{self.path(name)} does not exist") from None

    def remove(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    # --- keys

    def make_key(self, algorithm: str = "p256", name: str = KEY) -> PrivateKey:
        """Make a key and keep it.

        Raises:
            FileExistsError: there is one already; a key is never written over.
        """
        if self.has(name):
            raise FileExistsError(f"{self.path(name)} exists; a device's key is never written over")
        key = generate(algorithm)
        self.write(name, private_pem(key))
        return key

    def key(self, name: str = KEY) -> PrivateKey:
        """
        Raises:
            NothingKept: there is none, or the file holds no key that the fleet takes.
        """
        try:
            key = load_pem_private_key(self.read(name), None)
            keys.checked(key.public_key())
        except (ValueError, TypeError, keys.BadKey) as error:
            raise NothingKept(f"{self.path(name)} holds no private key: {error}") from None
        assert isinstance(key, PrivateKey)
        return key

    # --- JSON

    def note(self, name: str, value: dict[str, Any]) -> None:
        self.write(name, json.dumps(value, indent=1, sort_keys=True).encode())

    def noted(self, name: str) -> dict[str, Any]:
        """
        Raises:
            NothingKept: there is no such note, or it is no JSON object.
        """
        try:
            value = json.loads(self.read(name))
        except ValueError as error:
            raise NothingKept(f"{self.path(name)} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise NothingKept(f"{self.path(name)} holds no JSON object")
        return value
