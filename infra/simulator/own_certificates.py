"""A fleet whose devices speak mTLS: the Joiner and the Lines of a simulation in one."""

from collections.abc import Sequence
from dataclasses import dataclass

from infra.device.registration import Bundle
from infra.simulator.device import Device
from infra.simulator.joining import Joining, Told
from infra.simulator.lines import OwnLines


@dataclass(frozen=True)
class OwnCertificates:
    """Registers devices, and opens the data listener for each with what it got."""

    joining: Joining
    lines: OwnLines

    async def pre_register(self, devices: Sequence[Device]) -> None:
        await self.joining.pre_register(devices)

    async def join(self, device: Device) -> Bundle:
        bundle, context = await self.joining.join(device)
        self.lines.admit(device, context)
        return bundle

    def tell(self, told: Told) -> None:
        self.joining.told = told
