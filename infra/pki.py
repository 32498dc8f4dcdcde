"""The fleet's own public key infrastructure on this machine: authorities, the listeners' certificate, and the secrets of
the deciders, all in data_dir/pki. `ensure` makes what is missing; every process may call it, in any order, and be killed.

A certificate without its key, or the other way round, does not come about: a key is there before its certificate, and is
taken up again where a process was killed in between.
"""

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from connectors import private_files
from connectors.authority.file_keys import FileKeys
from connectors.authority.issuing import CertificateAuthority, Options
from connectors.authority.port import Keys, NoKey
from connectors.authority.token_keys import Token, TokenKeys
from infra.pki_files import Pki
from infra.pki_making import ROOT, Making, server_due
from infra.settings import SettingError, Settings

log = logging.getLogger(__name__)

SECRET_BYTES = 32


def at(settings: Settings) -> Pki:
    return Pki(settings.data / "pki")


def ensure(settings: Settings, now: float | None = None) -> Pki:
    """Make what is missing, and renew the listeners' certificate and the root's list when they are due. A folder with the
    trusted root's certificate but no authority is a copy for another machine's listeners, and left as it is.

    Raises:
        SettingError: a key can't be opened (a wrong passphrase or PIN), or a secret is readable by others.
    """
    pki, micros = at(settings), int((time.time() if now is None else now) * 1_000_000)
    if pki.trust.exists() and not pki.authorities.exists():
        return pki
    with _alone(pki.folder), _explained():
        _secrets(pki)
        making = Making(pki, keys(settings), settings, micros)
        if not (pki.authorities / f"{ROOT}.pem").exists():
            making.make_root()
        making.keep_servers()
        if not pki.issuing():
            making.make_issuing()
        making.publish()
        if server_due(pki, settings.server_names, datetime.fromtimestamp(micros // 1_000_000, UTC)):
            making.make_server()
    return pki


def for_listeners(settings: Settings) -> Pki:
    """What listeners need. As long as it is good no key of an authority is opened: the authority's process renews it. Else
    it is made here, if the keys are here.

    Raises:
        SettingError: as `ensure`, and there is nothing to begin with.
    """
    pki = at(settings)
    there = pki.server.exists() and pki.clients.exists()
    if there and not server_due(pki, settings.server_names, datetime.now(UTC)):
        return pki
    try:
        return ensure(settings)
    except SettingError as error:
        if not there:
            raise
        log.warning("the listeners' certificate is due, and stays as it is: %s", error)
        return pki


def roll(settings: Settings, now: float | None = None) -> x509.Certificate:
    """A further issuing authority. It signs as soon as the ledger shows it; those before stay trusted until their end.

    Raises:
        SettingError: as `ensure`.
    """
    pki, micros = ensure(settings, now), int((time.time() if now is None else now) * 1_000_000)
    if not pki.authorities.exists():
        raise SettingError(f"{pki.folder} is a copy for listeners: it holds no authority")
    with _alone(pki.folder), _explained():
        making = Making(pki, keys(settings), settings, micros)
        made = making.make_issuing()
        making.publish()
    return made


def keys(settings: Settings) -> Keys:
    """Where the authority's keys are kept, as the settings say.

    Raises:
        private_files.Exposed: the passphrase's file is readable by others.
    """
    if settings.pkcs11_module:
        token = Token(settings.pkcs11_module, settings.pkcs11_token, settings.pkcs11_pin, settings.pkcs11_label)
        return TokenKeys(token)
    folder = at(settings).folder
    kept = folder / "passphrase"
    if not settings.ca_passphrase and not kept.exists() and any((folder / "keys").glob("*")):
        raise SettingError(f"{folder / 'keys'} holds the authority's keys: FLEETLOG_CA_PASSPHRASE opens them")
    return FileKeys(folder / "keys", settings.ca_passphrase.encode() or _secret(kept))


def authority(settings: Settings) -> CertificateAuthority:
    """The authority that signs for devices; what it needs is made if it is missing.

    Raises:
        SettingError: as `ensure`.
        connectors.ports.Away: the keys' keeper does not answer.
    """
    pki = ensure(settings)
    options = Options(settings.authority, settings.certificate_days, settings.crl_seconds, settings.crl_delta_seconds)
    with _explained():
        secret = serial_secret(settings)
        return CertificateAuthority(options, keys(settings), pki.certificate(ROOT), pki.issuing, secret)


def pepper(settings: Settings) -> bytes:
    """The secret under which PINs are hashed."""
    with _explained():
        return _secret(at(settings).folder / "pepper")


def serial_secret(settings: Settings) -> bytes:
    """The secret from which serial numbers are derived."""
    with _explained():
        return _secret(at(settings).folder / "serial-secret")


def ledger_key(settings: Settings) -> ed25519.Ed25519PrivateKey:
    """The key that signs the ledger's tree heads.

    Raises:
        SettingError: the file holds none, or is readable by others.
    """
    file = at(settings).ledger_key
    with _explained():
        key = load_pem_private_key(private_files.read(file), None)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise SettingError(f"{file} holds no Ed25519 key")
    return key


def _secrets(pki: Pki) -> None:
    for name in ("serial-secret", "pepper"):
        _secret(pki.folder / name)
    if not pki.ledger_key.exists():
        made = ed25519.Ed25519PrivateKey.generate()
        private_files.make(pki.ledger_key, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    if not pki.ledger_public_key.exists():
        key = load_pem_private_key(private_files.read(pki.ledger_key), None)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        private_files.replace(pki.ledger_public_key, public, 0o644)


def _secret(file: Path) -> bytes:
    """A random secret, made once, hexadecimal in its file."""
    if not file.exists():
        private_files.make(file, secrets.token_hex(SECRET_BYTES).encode() + b"\n")
    return private_files.read(file).strip()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with open(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (NoKey, private_files.Exposed) as error:
        raise SettingError(str(error)) from None
