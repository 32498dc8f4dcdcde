"""What the log in memory says of devices and claims, read anew for each question."""

from collections.abc import Iterator
from dataclasses import replace

from connectors.memory import MemoryLog
from connectors.registration.asked import REGISTRATION_EVENTS
from connectors.registration.lookups import Claim, Device
from schemas import registration_events as events
from schemas.messages import Message, Messages


class LogLookups:
    """The port Lookups, without a view."""

    def __init__(self, log: MemoryLog, codec: Messages) -> None:
        self._log, self._codec = log, codec

    async def device(self, device_id: str, serial: str | None = None) -> Device | None:
        found = (self._device(event.hardware_id) for event in self._events() if isinstance(event, events.SessionOpened))
        return next((device for device in found if device is not None and device.device_id == device_id), None)

    async def hardware(self, hardware_id: str) -> Device | None:
        return self._device(hardware_id)

    async def claim(self, claim_id: str) -> Claim | None:
        found = None
        for event in self._events():
            if getattr(event, "claim_id", None) != claim_id:
                continue
            if isinstance(event, events.ClaimTokenIssued):
                found = Claim(claim_id, event.owner, event.expires_at)
            elif found is not None and isinstance(event, events.ClaimSpent):
                found = replace(found, hardware_id=event.hardware_id, session_id=event.session_id)
            elif found is not None and isinstance(event, events.ClaimAttemptFailed):
                found = replace(found, tried=True)
            elif found is not None and isinstance(event, events.ClaimLocked):
                found = replace(found, locked=True)
        return found

    def _device(self, hardware_id: str) -> Device | None:
        found = None
        for place, event in self._placed():
            if isinstance(event, events.CertificateRecorded) and found is not None and event.hardware_id == hardware_id:
                found = replace(found, recorded=place)
            if getattr(event, "hardware_id", None) != hardware_id:
                continue
            if isinstance(event, events.SessionOpened):
                owner = found.owner if found else None
                found = Device(
                    hardware_id, event.device_id, owner, event.model, event.capabilities, event.session_id, "session"
                )
            elif found is not None and isinstance(event, events.ChallengeIssued):
                found = replace(found, stage="challenged", owner=event.owner)
            elif found is not None and isinstance(event, events.ChallengePassed):
                found = replace(found, stage="passed")
            elif found is not None and isinstance(event, events.CertificateRecorded) and found.stage == "passed":
                found = replace(found, stage="certified")
            elif found is not None and isinstance(event, events.CertificateFailed):
                found = replace(found, stage="failed", failure="REG-008")
            elif found is not None and isinstance(event, events.DeviceActivated):
                found = replace(found, stage="activated")
        return found

    def _events(self) -> Iterator[Message]:
        return (event for _, event in self._placed())

    def _placed(self) -> Iterator[tuple[tuple[int, int], Message]]:
        for source, (first, end) in self._log.bounds([REGISTRATION_EVENTS]).items():
            for batch in self._log.read(source, first, end):
                for offset, value in zip(batch.offsets, batch.values, strict=True):
                    message = self._codec.decode(value)
                    if message is not None:
                        yield (source.partition, offset), message
