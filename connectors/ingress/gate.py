"""The gate of a listener: which device a request is from, whether it may be here, and whether it comes too often.

A device is who holds the key of a certificate that the ledger shows and does not call revoked. That it holds the key is
proved by TLS; or by a signature, where a trusted proxy has ended TLS and forwards the certificate; or was proved an hour
ago at most, and a token speaks for it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from connectors.guards import CertificateRecord, Quota
from connectors.http.peer import DATA, DeviceIdentity
from connectors.http.request import Fault, Request, Route
from connectors.ingress.access_tokens import AccessTokens, BadToken, looks_like_token
from connectors.ingress.certificate_states import CertificateStates
from connectors.ingress.guard_options import BY_ADDRESS
from connectors.ingress.presented import CLIENT_CERT, NotADevice, Proxies, forwarded, identity
from connectors.ingress.rate_limits import RateLimits
from connectors.ingress.security_events import Kind, Sighting, Watch
from connectors.ingress.signed_requests import Refused, SignedRequests, is_signed
from connectors.keys import key_hash
from connectors.ports import Away
from schemas.registration_errors import ERRORS

RENEWAL = "/certificate/renew"
"""The end of the one path that a device may take after its certificate has expired, if an exception was granted."""
DEVICE = ("{id}", "{device_id}")
ENTRY_SECONDS = 2.0  # how long a view that lags behind is waited for
MOST_READ = 10_000  # certificates that were read and are kept, so that a connection's is read once
_UNAUTHORIZED = [(b"www-authenticate", b'Bearer realm="fleetlog"')]
_HANDSHAKES: Mapping[str, Kind] = {
    "untrusted": "unknown_certificate",
    "no_certificate": "unknown_certificate",
    "expired": "expired_certificate",
}


@dataclass(frozen=True, slots=True)
class Gatekeeper:
    """What the gates of all listeners share. `name`: a caller's name, empty of nobody."""

    states: CertificateStates
    signed: SignedRequests
    tokens: AccessTokens
    limits: RateLimits
    watch: Watch
    proxies: Proxies
    name: Callable[[str], str]
    read: dict[bytes, DeviceIdentity] = field(default_factory=dict)


class Gate:
    """The gate of the listener of this name (a Guard of connectors.http.app)."""

    def __init__(
        self, listener: str, keeper: Gatekeeper, quotas: Mapping[str, Quota], of_devices: Mapping[str, Quota]
    ) -> None:
        """`quotas`: the rate limits of callers, `of_devices` those of devices that have proved who they are."""
        self._listener, self._keeper, self._quotas, self._of_devices = listener, keeper, quotas, of_devices

    async def identify(self, request: Request, route: Route) -> None:
        """Say which device a request is from, if it is from one; on the listener for devices it must be.

        Raises:
            Fault: 401, 403 it is not proved, or the device may not be here; 503 that can't be told for now.
        """
        given = request.headers.get(CLIENT_CERT)
        if given is not None and not self._keeper.proxies.trusted(request.peer.address):
            seen = Sighting("other", request.peer.address, "Client-Cert from an address that is no proxy's")
            raise self._refusal(request, seen, 403, "FORBIDDEN")
        if route.public or DATA not in route.listeners:
            return
        found = self._presented(request, given)
        token = request.authorization if looks_like_token(request.authorization) else None
        if found is None and token is not None:
            found = self._tokened(request, token)
        elif found is not None and token is not None:
            self._bound(request, token, found)
        if found is None:
            if self._listener == DATA:
                raise Fault(401, "UNAUTHORIZED", "a device's certificate is needed", headers=_UNAUTHORIZED)
            return
        self._own_path(request, route, found)
        await self._in_ledger(request, route, found)
        if found.by == "proxy" or (found.by == "certificate" and is_signed(request)):
            await self._signed(request, found)
        request.identity, request.caller = found, f"device:{found.device_id}"

    async def count(self, request: Request, route: Route) -> None:
        """Count the request under the route's limit.

        Raises:
            Fault: 429 it is one too many.
        """
        quotas = self._of_devices if request.identity else self._quotas
        if not quotas or not route.limit:
            return
        known = request.identity.device_id if request.identity else self._keeper.name(request.caller)
        # Of who is not known yet all that can be counted is the address, which may be that of many.
        quota = quotas.get(route.limit if known else BY_ADDRESS)
        if quota is not None:
            await self._keeper.limits.count(request, quota, known or request.peer.address)

    def handshake_failed(self, reason: str, address: str, said: str) -> None:
        """A connection did not come about (connectors.http.listener)."""
        kind = _HANDSHAKES.get(reason)
        if kind is not None:
            self._keeper.watch.tell(Sighting(kind, address, f"TLS handshake on {self._listener}: {said}", address=address))

    # --- who it is

    def _presented(self, request: Request, given: bytes | None) -> DeviceIdentity | None:
        try:
            if given is not None:
                return self._read(forwarded(given), "proxy")
            if request.peer.certificate is not None:
                return self._read(request.peer.certificate, "certificate")
        except NotADevice as error:
            seen = Sighting("unknown_certificate", request.peer.address, str(error))
            raise self._refusal(request, seen, 403, "CERTIFICATE_UNKNOWN") from None
        return None

    def _read(self, certificate: bytes, by: str) -> DeviceIdentity:
        read = self._keeper.read
        found = read.get(certificate)
        if found is None or found.by != by:
            found = identity(certificate, by)
            if len(read) >= MOST_READ:
                read.clear()
            read[certificate] = found
        return found

    def _tokened(self, request: Request, token: bytes) -> DeviceIdentity:
        try:
            return self._keeper.tokens.identity(token)
        except BadToken as error:
            seen = Sighting("bad_token", request.peer.address, f"access token: {error}")
            raise self._refusal(request, seen, 401, "BAD_TOKEN") from None

    def _bound(self, request: Request, token: bytes, found: DeviceIdentity) -> None:
        try:
            self._keeper.tokens.bound(token, found)
        except BadToken as error:
            seen = Sighting("bad_token", found.device_id, f"access token: {error}", found.device_id)
            raise self._refusal(request, seen, 401, "BAD_TOKEN") from None

    # --- whether it may

    def _own_path(self, request: Request, route: Route, found: DeviceIdentity) -> None:
        variables = [segment for segment in route.path.split("/") if segment.startswith("{")]
        for variable, argument in zip(variables, request.arguments, strict=True):
            if variable in DEVICE and argument != found.device_id:
                detail = f"asked for {route.method} {route.path} of {argument[:128]}"
                seen = Sighting("wrong_device", found.device_id, detail, found.device_id)
                raise self._refusal(request, seen, 403, "WRONG_DEVICE", "the certificate is another device's")

    async def _in_ledger(self, request: Request, route: Route, found: DeviceIdentity) -> None:
        states = self._keeper.states
        try:
            # Who proved it to TLS holds a certificate of an authority's, so that it is worth waiting for the ledger.
            record = await states.entered(found.serial, ENTRY_SECONDS if found.by == "certificate" else 0.0)
        except Away as away:
            raise Fault(503, "UNAVAILABLE", f"the certificate can't be looked up: {away}", retry_after=1) from None
        if record is None or not _same(record, found):
            raise self._certificate(request, found, "unknown_certificate", "CERTIFICATE_UNKNOWN")
        if record.revoked is not None:
            raise self._certificate(request, found, "revoked_certificate", "CERTIFICATE_REVOKED")
        now = time.time_ns() // 1000
        excepted = route.path.endswith(RENEWAL) and now < (record.exception_until or 0)
        if now > min(record.not_after, found.not_after) and not excepted:
            raise self._certificate(request, found, "expired_certificate", "CERTIFICATE_EXPIRED")

    async def _signed(self, request: Request, found: DeviceIdentity) -> None:
        try:
            await self._keeper.signed.check(request, found)
        except Refused as refused:
            seen = Sighting(refused.kind, found.device_id, refused.detail, found.device_id)
            raise self._refusal(request, seen, 401, refused.kind.upper()) from None

    def _certificate(self, request: Request, found: DeviceIdentity, kind: Kind, code: str) -> Fault:
        # Whose certificate nobody vouches for may say any name: it is told of by its address.
        subject = request.peer.address if kind == "unknown_certificate" else found.device_id
        detail = f"serial {found.serial}, by {found.by}, {request.method} {request.raw_path[:200].decode('latin-1')}"
        return self._refusal(request, Sighting(kind, subject, detail, found.device_id), 403, code, ERRORS[code].message)

    def _refusal(self, request: Request, seen: Sighting, status: int, code: str, message: str = "") -> Fault:
        """Tell what was seen; the fault to raise."""
        address = request.peer.address
        told = Sighting(seen.kind, seen.subject or address, seen.detail, seen.device_id, address)
        self._keeper.watch.tell(told)
        return Fault(status, code, message or seen.detail, headers=_UNAUTHORIZED if status == 401 else ())


def _same(record: CertificateRecord, found: DeviceIdentity) -> bool:
    """Whether the ledger's certificate is the one presented, not another of its serial number."""
    if record.device_id != found.device_id:
        return False
    return not found.public_key or key_hash(found.public_key).hex() == record.key_hash
