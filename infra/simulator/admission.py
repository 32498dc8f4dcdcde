"""Devices that become members of the fleet by themselves: noted in the journal and the tally."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Protocol

from infra.device.calls import Refused, Unreachable
from infra.device.registration import Bundle, NotTrusted
from infra.simulator.device import Device
from infra.simulator.joining import Told
from infra.simulator.journal import JournalWriter, Registered
from infra.simulator.tally import Tally


class Joiner(Protocol):
    """How it is done; from then on there is a connection for the device."""

    async def pre_register(self, devices: Sequence[Device]) -> None: ...
    async def join(self, device: Device) -> Bundle: ...
    def tell(self, told: Told) -> None: ...


class Outcome(Enum):
    """Of one try."""

    JOINED = auto()
    LATER = auto()
    REFUSED = auto()


class Admission:
    """Admits devices, and gives each the id that the server gave it."""

    def __init__(self, joiner: Joiner, journal: JournalWriter, tally: Tally) -> None:
        self._joiner, self._journal, self._tally = joiner, journal, tally
        self._begun: set[Device] = set()
        joiner.tell(Told(self._request, self._error, self._fault, self._answered))

    async def pre_register(self, devices: Sequence[Device]) -> None:
        """
        Raises:
            Unreachable, NotJoined
        """
        await self._joiner.pre_register(devices)

    def begun(self, device: Device) -> bool:
        """Whether a device has begun and was not told its end: it is to be admitted however late it is."""
        return device in self._begun

    async def admit(self, device: Device) -> Outcome:
        """Register a device. One that is told to come later is outstanding until it has come; counted as joining are all
        that have begun and are no members, those that were refused too."""
        tally, hardware_id = self._tally, device.id
        if device not in self._begun:
            self._begun.add(device)
            tally.outstanding += 1
            tally.joining += 1
        self._journal.registering(hardware_id)
        try:
            bundle = await self._joiner.join(device)
        except (Unreachable, Refused, NotTrusted) as reason:
            if isinstance(reason, Unreachable) or (isinstance(reason, Refused) and reason.later):
                return Outcome.LATER
            tally.errors[str(reason)] += 1
            tally.refused += 1
            self._end(device)
            return Outcome.REFUSED
        leaf = int(bundle.ledger["leaf_index"])
        self._journal.registered(Registered(hardware_id, bundle.device_id, bundle.serial, leaf))
        self._end(device)
        tally.joining -= 1
        device.id = bundle.device_id
        device.start(self._journal)
        return Outcome.JOINED

    def _end(self, device: Device) -> None:
        self._begun.remove(device)
        self._tally.outstanding -= 1

    def _request(self) -> None:
        self._tally.requests += 1

    def _error(self, reason: str) -> None:
        self._tally.errors[reason] += 1

    def _fault(self, fault: str) -> None:
        self._tally.injected[fault] += 1

    def _answered(self) -> None:
        self._tally.answered = True
