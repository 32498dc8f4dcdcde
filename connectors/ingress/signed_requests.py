"""Signed requests: who signs the method, target, time, nonce and body of a request with the key of its certificate."""

import base64
import binascii
import re
import time
from collections.abc import Callable

from connectors import keys
from connectors.guards import NonceStore
from connectors.http.body import BodyReader
from connectors.http.peer import DeviceIdentity
from connectors.http.request import Fault, Request
from connectors.ingress.security_events import Kind
from connectors.ports import Away
from schemas import proofs

SIGNATURE, TIMESTAMP, NONCE = b"x-device-signature", b"x-request-timestamp", b"x-request-nonce"
WINDOW_SECONDS = 300
KEPT_SECONDS = 2 * WINDOW_SECONDS + 60
"""How long a nonce is remembered: a request may be dated five minutes ahead, and is good until five minutes after."""
_TIMESTAMP = re.compile(rb"[0-9]{1,12}")
_NONCE = re.compile(rb"[A-Za-z0-9_-]{16,64}")


class Refused(Exception):
    """A request is not what its signer sent, or was sent before. `kind` of security event, what was seen."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


class SignedRequests:
    """Checks signatures. Nonces are spent only by who can sign, so that nobody spends another's."""

    def __init__(self, nonces: NonceStore, bodies: BodyReader, clock: Callable[[], float] = time.time) -> None:
        self._nonces, self._bodies, self._clock = nonces, bodies, clock

    async def check(self, request: Request, identity: DeviceIdentity) -> None:
        """Return if the request is signed by the device, fresh, and new. Its body is read for that, and can be read again.

        Raises:
            Refused: it is not.
            Fault: the body can't be read; 503 the nonces can't be looked up.
        """
        given = request.headers.get
        signature, timestamp, nonce = _signature(given(SIGNATURE, b"")), given(TIMESTAMP, b""), given(NONCE, b"")
        if not _TIMESTAMP.fullmatch(timestamp):
            raise Refused("bad_signature", "X-Request-Timestamp is missing or no number of seconds since 1970")
        if not _NONCE.fullmatch(nonce):
            raise Refused("bad_signature", "X-Request-Nonce is missing, or not 16 to 64 letters, digits, - and _")
        off = int(timestamp) - self._clock()
        if abs(off) > WINDOW_SECONDS:
            raise Refused("stale_request", f"X-Request-Timestamp is {off:+.0f} s from the server's clock")
        body = await self._bodies.as_sent(request)
        target = request.raw_path + (b"?" + request.raw_query if request.raw_query else b"")
        message = proofs.request(request.method, target.decode("latin-1"), timestamp.decode(), nonce.decode(), body)
        if not _verifies(identity.public_key, signature, message):
            raise Refused("bad_signature", "X-Device-Signature is not the device's over this request")
        await self._spend(f"{identity.device_id}:{nonce.decode()}")

    async def _spend(self, nonce: str) -> None:
        try:
            new = await self._nonces.spend(nonce, KEPT_SECONDS)
        except Away as away:
            raise Fault(503, "UNAVAILABLE", f"whether the request is new can't be told: {away}", retry_after=1) from None
        if not new:
            raise Refused("replayed_request", "X-Request-Nonce was used before")


def _verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        return keys.verifies(keys.load(public_key), signature, message)
    except keys.BadKey:
        return False


def is_signed(request: Request) -> bool:
    return SIGNATURE in request.headers


def _signature(text: bytes) -> bytes:
    try:
        signature = base64.b64decode(text, validate=True)
    except binascii.Error:
        signature = b""
    if not signature:
        raise Refused("bad_signature", "X-Device-Signature is missing or not base64")
    return signature
