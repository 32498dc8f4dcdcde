"""What is known of devices and claims, as the views say it (connectors.registration.view_lookups)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Stage = Literal["session", "challenged", "passed", "certified", "activated", "failed"]
"""How far the newest registration of a device is."""


DEVICE = "dev-"


def device_id_of(hardware_id: str) -> str:
    """The id in the fleet that a device gets when it registers: whoever has one of the two knows the other."""
    return DEVICE + hardware_id


def hardware_id_of(device_id: str) -> str | None:
    """The reverse; None of an id that no registration gave."""
    return device_id.removeprefix(DEVICE) if device_id.startswith(DEVICE) else None


@dataclass(frozen=True, slots=True)
class Device:
    """A device. `session_id` is of its newest registration, `stage` how far that is; `recorded`: partition and offset of the
    event that gave it its newest certificate, unless that was withdrawn since."""

    hardware_id: str
    device_id: str
    owner: str | None
    model: str | None
    capabilities: Sequence[str]
    session_id: str | None
    stage: Stage | None
    failure: str | None = None
    recorded: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim. `hardware_id` and `session_id` say by whom it was spent; `tried`: a wrong PIN was presented. `expires_at` in
    microseconds since 1970 UTC."""

    claim_id: str
    owner: str
    expires_at: int
    tried: bool = False
    locked: bool = False
    hardware_id: str | None = None
    session_id: str | None = None

    @property
    def expired(self) -> bool:
        return time.time_ns() // 1000 > self.expires_at


class Lookups(Protocol):
    """Each may raise RegistrationFault: 503 REG-009, the store is away. What was decided a moment ago is waited for, a
    little: None means that there is no such thing."""

    async def device(self, device_id: str, serial: str | None = None) -> Device | None:
        """A device by its id in the fleet; `serial`: of its certificate, where it is the device that asks."""

    async def hardware(self, hardware_id: str) -> Device | None:
        """A device by its serial number. Not waited for."""

    async def claim(self, claim_id: str) -> Claim | None: ...
