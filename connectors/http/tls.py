"""TLS of a server: its certificate and the authorities whose clients it takes, from files that may change.

Who connects while a file changes gets the one or the other; connections that are open stay as they are. The life of a
client's own certificate is not looked at here: the application does, and can say so in an answer, which TLS can't. That
of the authorities is: one that has expired is left out.
"""

import logging
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, for which the ssl module has no name
CIPHERS_1_2 = "ECDHE+AESGCM:ECDHE+CHACHA20"  # forward secrecy and authenticated encryption only, as TLS 1.3 has anyway
_Version = tuple[tuple[int, int, int], ...]  # of each file: changed at, size, inode


class BadTls(ValueError):
    """The files can't be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. `certificate` is the server's own with its chain, `key` its key, `trust` the authorities whose clients are
    taken: None asks clients for no certificate. `minimum` is a key of VERSIONS."""

    certificate: Path
    key: Path
    trust: Path | None = None
    minimum: str = "1.3"


class ServerTls:
    """The settings of new connections. While the files can't be used, those they held before count."""

    def __init__(self, files: TlsFiles) -> None:
        """
        Raises:
            BadTls: there is nothing to begin with.
        """
        self._files = files
        self._looked = time.monotonic()
        self._version = _version(files)
        self._context, self._good_until = _made(files)

    def context(self) -> ssl.SSLContext:
        """The settings, as the files were a second ago at most."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            try:
                self._look()
            except BadTls as error:
                log.error("TLS stays as it was: %s", error)
        return self._context

    def _look(self) -> None:
        version = _version(self._files)
        if version == self._version and datetime.now(UTC) < self._good_until:
            return
        self._context, self._good_until = _made(self._files)
        self._version = version  # after that, so that files that are being written are read again
        log.info("TLS was read again", extra={"context": {"certificate": str(self._files.certificate)}})


def _version(files: TlsFiles) -> _Version:
    paths = [path for path in (files.certificate, files.key, files.trust) if path is not None]
    try:
        found = [path.stat() for path in paths]
    except OSError as error:
        raise BadTls(f"{error.filename}: {error.strerror}") from None
    return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)


def _made(files: TlsFiles) -> tuple[ssl.SSLContext, datetime]:
    """Settings, and the time until which they hold."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[files.minimum]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(CIPHERS_1_2)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key)
    except (OSError, ssl.SSLError) as error:
        raise BadTls(f"{files.certificate} with {files.key}: {error}") from None
    if files.trust is None:
        return context, datetime.max.replace(tzinfo=UTC)
    authorities = _authorities(files.trust)
    context.load_verify_locations(cadata="".join(one.public_bytes(Encoding.PEM).decode() for one in authorities))
    context.verify_mode = ssl.CERT_REQUIRED
    # An issuing authority may be trusted without the root above it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(NO_CHECK_TIME)
    return context, min(one.not_valid_after_utc for one in authorities)


def _authorities(file: Path) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise BadTls(f"{file}: {error}") from None
    valid = [one for one in found if datetime.now(UTC) < one.not_valid_after_utc]
    if not valid:
        raise BadTls(f"{file} holds no authority that has not expired")
    return valid
