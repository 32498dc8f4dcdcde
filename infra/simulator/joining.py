"""How the devices of a fleet become its members: pre-registered by an administrator, then each by itself.

A simulated device keeps its key in memory. It checks its certificate as any device does (infra.device.verification); the
ledger's proof is not checked here but by `fleetlog reconcile` and `fleetlog ledger audit`, for all at once.
"""

import asyncio
import hashlib
import json
import os
import random
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from infra.device.calls import Answer, Backoff, Call, Unreachable, perform_async, read
from infra.device.keystore import PrivateKey, generate, private_pem, public_der
from infra.device.registration import Bundle, Identity, InMemory, PreRegistered, Registration, public_pem
from infra.device.verification import certificates, check_certificate
from infra.simulator.device import FIRMWARE, HARDWARE_REVISION, Device
from infra.simulator.http import Address, Connection, Cut, Lost

AT_ONCE = 2_000  # devices in one pre-registration
PRE_REGISTRATIONS = "/v1/devices/pre-registrations"
LINES = {"Content-Type": "application/x-ndjson"}
CUTS = (Cut.DROP, Cut.RESET)


class NotJoined(Exception):
    """The fleet can't be pre-registered, or a device was refused for good; the text says which and why."""


@dataclass(frozen=True)
class Gates:
    """Where and as whom a fleet joins. `admin` carries a key with the fleet's rights, `door` is the registration listener;
    `roots` a PEM file of what the devices trust. `timeout` in seconds."""

    admin: Address
    door: Address
    roots: Path
    timeout: float


@dataclass
class Told:
    """What a joining tells while it goes on: of every request, every failure, every fault that was made."""

    request: Callable[[], None] = lambda: None
    error: Callable[[str], None] = lambda _: None
    fault: Callable[[str], None] = lambda _: None
    answered: Callable[[], None] = lambda: None


@dataclass
class Joining:
    """The fleet's keys, and the way in. `cuts`: shares of requests whose answer is dropped, or that are reset amid."""

    gates: Gates
    chance: random.Random
    backoff: Backoff
    cuts: tuple[float, float] = (0.0, 0.0)
    told: Told = field(default_factory=Told)
    _keys: dict[Device, PrivateKey] = field(default_factory=dict)
    _progress: dict[Device, InMemory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._roots = certificates(self.gates.roots.read_text("ascii"))
        self._trust = self._trusting()

    async def pre_register(self, devices: Sequence[Device]) -> None:
        """Make keys, and make them known in bulk.

        Raises:
            NotJoined: the ingress does not take them all.
            Unreachable
        """
        self._keys = {device: generate() for device in devices}
        connection = Connection(self.gates.admin, self.gates.timeout)
        try:
            for start in range(0, len(devices), AT_ONCE):
                await self._pre_register(connection, devices[start : start + AT_ONCE])
        finally:
            connection.close()

    async def _pre_register(self, connection: Connection, devices: Sequence[Device]) -> None:
        rows = [
            {"serial_number": device.id, "public_key": public_pem(self._keys[device]), "model": device.series.source.model}
            for device in devices
        ]
        body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        try:
            response = await connection.post(PRE_REGISTRATIONS, body, headers=LINES)
        except Lost as lost:
            raise Unreachable(f"pre-registration: {lost.reason}") from None
        if response.status >= 300:
            raise NotJoined(f"pre-registration is answered with {response.status}: {response.body[:500].decode('latin-1')}")
        said = read(Answer(response.status, response.body))
        if said.get("accepted") != len(devices):
            raise NotJoined(f"{said.get('accepted')} of {len(devices)} devices were pre-registered: {said.get('errors')}")

    async def join(self, device: Device) -> tuple[Bundle, ssl.SSLContext]:
        """Register one device: what it got, and TLS that shows its certificate. After an Unreachable the next call goes on.

        Raises:
            Refused, Unreachable, NotTrusted
        """
        key = self._keys[device]
        who = Identity(
            device.id,
            _hardware(device),
            device.series.source.model,
            FIRMWARE,
            HARDWARE_REVISION,
            tuple(metric.name for metric in device.series.source.metrics),
        )
        connection = Connection(self.gates.door, self.gates.timeout, self._trust)
        flow = Registration(who, key, PreRegistered(), self._progress.setdefault(device, InMemory())).flow()
        try:
            bundle = await perform_async(flow, lambda call: self._send(connection, call), self.backoff, asyncio.sleep)
        finally:
            connection.close()
        check_certificate(bundle, public_der(key), self._roots, datetime.now(UTC))
        return bundle, self._showing(bundle, key)

    async def _send(self, connection: Connection, call: Call) -> Answer:
        self.told.request()
        drawn = self.chance.random()
        cut = CUTS[0] if drawn < self.cuts[0] else CUTS[1] if drawn < sum(self.cuts) else None
        headers = {name: value for name, value in call.headers.items() if name != "Content-Type"}
        try:
            response = await connection.post(call.path, call.body, cut, headers)
        except Lost as lost:
            (self.told.fault if cut else self.told.error)(lost.reason)
            raise Unreachable(lost.reason) from None
        self.told.answered()
        if response.status >= 300:
            self.told.error(f"{response.status} {call.path.rsplit('/', 1)[1]}")
        return Answer(response.status, response.body, response.retry_after)

    def _trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.gates.roots))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        return context

    def _showing(self, bundle: Bundle, key: PrivateKey) -> ssl.SSLContext:
        """TLS with a device's certificate, which Python's ssl takes from a file only."""
        context = self._trusting()
        handle, name = tempfile.mkstemp(suffix=".pem")  # readable by this user only
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(private_pem(key) + bundle.certificate.encode() + bundle.chain.encode())
            context.load_cert_chain(name)
        finally:
            os.unlink(name)
        return context


def _hardware(device: Device) -> dict[str, str | list[str] | None]:
    """A made-up machine: the same for a device, another for each."""
    digits = hashlib.sha256(device.id.encode()).hexdigest()[:10]
    address = ":".join(("02", *(digits[i : i + 2] for i in range(0, 10, 2))))
    return {"cpu_id": f"sim {digits}", "board_serial": device.id, "mac_addresses": [address], "disk_uuid": ""}
