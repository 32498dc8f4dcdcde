"""The first heartbeat of a device with its certificate activates it."""

import asyncio
import logging
from uuid import uuid5

from connectors.http.request import Answer, Answering, Fault, Request, StreamedAnswer
from connectors.registration.commands import REPEATABLE, Commands, Stamp
from connectors.registration.faults import Refusal
from connectors.registration.lookups import Lookups
from connectors.remembered import Remembered
from schemas.registration_commands import ActivateDevice

log = logging.getLogger(__name__)

REMEMBERED = 200_000  # certificates that need no further look
MOST_AT_ONCE = 100  # looks under way; a device that gets none gets one at its next heartbeat


class Activations:
    """Looks at each certificate's first heartbeats, beside their answers."""

    def __init__(self, commands: Commands, lookups: Lookups) -> None:
        self._commands, self._lookups = commands, lookups
        self._done: Remembered[str, bool] = Remembered(REMEMBERED, REMEMBERED)
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def watching(self, handler: Answering) -> Answering:
        """The handler of heartbeats, watched."""

        async def handle(request: Request) -> Answer | StreamedAnswer:
            answer = await handler(request)
            if request.identity is not None:
                self._look(request)
            return answer

        return handle

    def _look(self, request: Request) -> None:
        assert request.identity is not None
        serial = request.identity.serial
        if self._done.get(serial) or serial in self._under_way or len(self._under_way) >= MOST_AT_ONCE:
            return
        self._under_way[serial] = asyncio.create_task(self._activate(request, request.identity.device_id, serial))

    async def _activate(self, request: Request, device_id: str, serial: str) -> None:
        try:
            device = await self._lookups.device(device_id, serial)
            if device is None:
                return  # its certificate's record is on its way
            if device.stage != "activated":
                base = str(uuid5(REPEATABLE, f"activate\0{device_id}\0{serial}"))  # of several ingresses, one is heard
                stamp = Stamp(base, True, f"device:{device_id}").of()
                command = ActivateDevice(**stamp, hardware_id=device.hardware_id, device_id=device_id)
                await self._commands.ask(command, request)
            self._done.add(serial, True, 1)
        except Refusal as refusal:
            self._done.add(serial, True, 1)  # it was decided: another heartbeat would change nothing
            log.info("%s is not activated: %s", device_id, refusal)
        except Fault as fault:
            log.info("%s is not activated yet: %s", device_id, fault.detail)
        finally:
            del self._under_way[serial]
