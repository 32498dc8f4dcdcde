"""What the handlers of registration have in common: who asks, what they hold, how times and devices are told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from connectors.http.request import Answer, Fault, Request
from connectors.ingress.access import Access
from connectors.ingress.security_events import Kind, Sighting, Watch
from connectors.registration.commands import Commands
from connectors.registration.configuration import Configurations
from connectors.registration.faults import RegistrationFault
from connectors.registration.lookups import Device, Lookups
from connectors.registration.reading import Reader
from connectors.registration.secrets import Secrets

SESSION_MICROSECONDS = 15 * 60 * 1_000_000
encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Desk:
    """The parts that handlers work with."""

    reader: Reader
    commands: Commands
    access: Access
    lookups: Lookups
    secrets: Secrets
    configurations: Configurations
    watch: Watch

    def user(self, request: Request) -> str:
        """The principal that asks.

        Raises:
            Fault: 403 it has no right to the fleet.
        """
        if not self.access.fleet(request.caller):
            raise Fault(403, "FORBIDDEN", f"{self.access.name(request.caller)} may not register devices")
        return self.access.name(request.caller)

    def admin(self, request: Request) -> str:
        """The administrator that asks.

        Raises:
            Fault: 403 it is none.
        """
        if self.access.fleet(request.caller) != "admin":
            raise Fault(403, "FORBIDDEN", f"{self.access.name(request.caller)} is no administrator of the fleet")
        return self.access.name(request.caller)

    def is_told(self, request: Request, owner: str | None) -> bool:
        """Whether who asks may know what is the owner's alone; on public operations a key may be sent along."""
        caller = request.caller
        if not caller and request.authorization is not None:
            try:
                caller = self.access.caller(request)
            except Fault:
                return False  # no key of a principal: a device's token
        if not caller:
            return False
        return self.access.fleet(caller) == "admin" or (bool(owner) and self.access.name(caller) == owner)

    def seen(self, request: Request, kind: Kind, subject: str, detail: str) -> None:
        """Tell of what may be an attack."""
        self.watch.tell(Sighting(kind, subject, detail, address=request.peer.address))

    async def own_device(self, request: Request) -> Device:
        """The device in the path, if it is who asks, or the asking principal's own.

        Raises:
            RegistrationFault: 404 DEVICE_UNKNOWN there is none, or it is somebody else's, which a stranger is not told.
        """
        (device_id,) = request.arguments
        identity = request.identity
        found = await self.lookups.device(device_id, identity.serial if identity else None)
        if found is not None:
            allowed = identity.device_id == device_id if identity else self.is_told(request, found.owner)
            if allowed:
                return found
        raise RegistrationFault("DEVICE_UNKNOWN")


def actor_of(request: Request, access: Access) -> str:
    """Who gives a command, as the log says it."""
    if request.identity is not None:
        return f"device:{request.identity.device_id}"
    return access.name(request.caller) if request.caller else "unauthenticated"


def told(document: object, status: int = 200, headers: Mapping[bytes, bytes] | None = None) -> Answer:
    """A document as an answer. Nobody between keeps it: these answers hold what is one's own."""
    every = {b"cache-control": b"no-store", **(headers or {})}
    return Answer(encoder.encode(document), status, headers=list(every.items()))


def moment(microseconds: int) -> str:
    """A time as text (RFC 3339, UTC)."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
