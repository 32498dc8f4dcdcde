"""The network under a flow: TLS with the fleet's roots, and with the device's certificate where it has one."""

import secrets
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra.device.calls import Answer, Call, Unreachable
from infra.device.keystore import CERTIFICATE, CHAIN, KEY, Keystore, NothingKept, PrivateKey, sign
from infra.device.registration import encoded
from infra.device.verification import certificates
from schemas import proofs

SECONDS = 30.0


def tls(roots: Path | None, store: Keystore | None = None) -> ssl.SSLContext:
    """TLS 1.3 that trusts `roots` (a PEM file; None: what the system trusts); with `store`, showing its certificate.

    Raises:
        NothingKept: a file is missing or holds no certificate or key.
    """
    try:
        context = ssl.create_default_context(cafile=str(roots) if roots else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if store is not None:
            shown = store.path("shown.pem")  # a TLS client shows its certificate and those above it in one file
            store.write(shown.name, store.read(CERTIFICATE) + _intermediates(store.read(CHAIN)))
            context.load_cert_chain(shown, store.path(KEY))
    except (OSError, ssl.SSLError) as error:
        raise NothingKept(f"TLS can't be set up with {roots or 'the system'} and the device's files: {error}") from None
    return context


def _intermediates(chain: bytes) -> bytes:
    """The authorities between a device and its root: the server has the root."""
    above = certificates(chain.decode()) if chain.strip() else []
    return b"".join(one.public_bytes(Encoding.PEM) for one in above if one.subject != one.issuer)


def roots_of(path: Path) -> list[x509.Certificate]:
    """
    Raises:
        NothingKept: there is no such file.
        NotTrusted: it holds no certificates.
    """
    try:
        return certificates(path.read_text("ascii", errors="replace"))
    except OSError as error:
        raise NothingKept(f"{path} can't be read: {error}") from None


@dataclass(frozen=True)
class Signer:
    """Signs requests, for where a proxy ends TLS and the server does not see the device's certificate itself."""

    key: PrivateKey

    def headers(self, call: Call) -> dict[str, str]:
        timestamp, nonce = str(int(time.time())), secrets.token_urlsafe(18)
        message = proofs.request(call.method, call.path, timestamp, nonce, call.body)
        return {
            "X-Device-Signature": encoded(sign(self.key, message)),
            "X-Request-Timestamp": timestamp,
            "X-Request-Nonce": nonce,
        }


class Link:
    """Calls to one server. Use it as a context."""

    def __init__(
        self, url: str, context: ssl.SSLContext | None, headers: dict[str, str] | None = None, signer: Signer | None = None
    ) -> None:
        """`context` None: plain HTTP, as a proxy beside the server or a test may take it."""
        self._client = httpx.Client(base_url=url, verify=context or False, timeout=SECONDS, headers=headers, trust_env=False)
        self._signer = signer

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def send(self, call: Call) -> Answer:
        """
        Raises:
            Unreachable: no answer came.
        """
        headers = call.headers | (self._signer.headers(call) if self._signer else {})
        try:
            response = self._client.request(call.method, call.path, content=call.body or None, headers=headers)
        except httpx.TransportError as error:
            raise Unreachable(f"{self._client.base_url}: {error or type(error).__name__}") from None
        wait = response.headers.get("Retry-After", "")
        signature = response.headers.get("X-Config-Signature", "")
        return Answer(response.status_code, response.content, float(wait) if wait.isdigit() else 0.0, signature)
