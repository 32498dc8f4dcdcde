"""Refusals: a command that may not be is answered with an event that says why, and changes nothing."""

from schemas.messages import Command
from schemas.registration_events import CommandRefused
from streams.identities import headers
from streams.registration.state import Device

MOST_DETAIL = 1000
CLAIM_PREFIX = "claim-"
"""Claims and devices share a topic and its keys: claim ids begin so, hardware ids do not."""


class Refusal(Exception):
    """Raised within a decision. `detail` names the place; `owner` and `device_id` are told to the owner alone; `serial` is
    of a certificate that is to be revoked, as nobody gets it."""

    def __init__(
        self, code: str, detail: str, *, owner: str | None = None, device_id: str | None = None, serial: str | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.owner, self.device_id, self.serial = code, detail, owner, device_id, serial


def refused(command: Command, refusal: Refusal) -> CommandRefused:
    """The event of a refusal."""
    return CommandRefused(
        **headers(command, 0),
        hardware_id=getattr(command, "hardware_id", None),
        claim_id=getattr(command, "claim_id", None),
        command=type(command).__name__,
        code=refusal.code,
        detail=refusal.detail[:MOST_DETAIL],
        owner=refusal.owner,
        device_id=refusal.device_id,
        serial=refusal.serial,
    )


def check_hardware_id(hardware_id: str) -> None:
    """
    Raises:
        Refusal: it might be taken for a claim.
    """
    if hardware_id.startswith(CLAIM_PREFIX):
        raise Refusal("BAD_HARDWARE_ID", f"hardware_id: {hardware_id} begins with {CLAIM_PREFIX}, as claims do")


def device_id_of(device: Device, hardware_id: str) -> str:
    """
    Raises:
        Refusal: it has none; no session was opened since it was first heard of, or reset.
    """
    if device.device_id is None:
        raise Refusal("DEVICE_UNKNOWN", f"hardware_id: there is no device {hardware_id}")
    return device.device_id
