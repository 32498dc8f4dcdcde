"""Devices that register, many at a time, in a process of its own: how fast, and how long each step takes.

    python -m infra.bench.registration_load < options.json

A device has its key before its turn begins; what is measured is what it waits for. Its signatures are made here too, on
the machine that also serves: a device's share of the work is named in the figures as what it is.
"""

import asyncio
import json
import os
import random
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from infra.bench.http_load import quantiles
from infra.device.calls import Answer, Backoff, Call, Refused, Unreachable, perform_async, read
from infra.device.fingerprint import Parts
from infra.device.keystore import PrivateKey, generate
from infra.device.registration import (
    Credential,
    Identity,
    InMemory,
    NotTrusted,
    PreRegistered,
    Registration,
    Token,
    public_pem,
)
from infra.simulator.http import Address, Connection, Lost

LATE = 120.0  # seconds that the generator may take beyond its time
TIMEOUT = 30.0
ROWS = 2_000  # devices in one pre-registration
STEPS = ("token", "initiate", "validate", "confirm")


@dataclass(frozen=True)
class LoadOptions:
    """`admin`: base URL for whoever has the key; `door`: for devices. `devices` 0: claims with tokens for `seconds`; else
    so many pre-registered devices, however long it takes (at most `seconds`)."""

    admin: str
    door: str
    api_key: str
    roots: str
    connections: int
    seconds: float
    devices: int = 0


@dataclass
class Load:
    """What was measured. `steps`: (p50, p99) of each in milliseconds; `registered`: hardware id and serial of each."""

    seconds: float
    failures: dict[str, int]
    steps: dict[str, tuple[float, float]]
    registered: list[tuple[str, str]]

    @property
    def rate(self) -> float:
        """Whole registrations per second."""
        return len(self.registered) / self.seconds


def load(options: LoadOptions) -> Load:
    """Run the generator.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-P", "-m", "infra.bench.registration_load"]
    done = subprocess.run(
        command,
        input=json.dumps(asdict(options)),
        capture_output=True,
        text=True,
        check=False,
        timeout=options.seconds + LATE,
    )
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip()[-2000:]}")
    said = json.loads(done.stdout)
    return Load(said["seconds"], said["failures"], said["steps"], [tuple(one) for one in said["registered"]])


@dataclass
class _Tally:
    steps: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    failures: Counter[str] = field(default_factory=Counter)
    registered: list[tuple[str, str]] = field(default_factory=list)


class _Devices:
    """Who is next. Ids are unique for each generator."""

    def __init__(self, options: LoadOptions) -> None:
        name = f"bench-{os.getpid()}-{time.time_ns() % 1_000_000_000}"
        numbers = range(options.devices) if options.devices else count()
        self._ids: Iterator[str] = (f"{name}-{number:06}" for number in numbers)
        self.known = [(identity, generate()) for identity in self._ids] if options.devices else []
        self._left = iter(self.known)

    def next(self) -> tuple[str, PrivateKey] | None:
        return next(self._left, None) if self.known else (next(self._ids), generate())


async def _work(options: LoadOptions, devices: _Devices, tally: _Tally, until: float) -> None:
    tls = ssl.create_default_context(cafile=options.roots) if options.door.startswith("https:") else None
    admin = Connection(Address.parse(options.admin, {"X-API-Key": options.api_key}), TIMEOUT)
    door = Connection(Address.parse(options.door, {}), TIMEOUT, tls)
    backoff = Backoff(base=1.5, longest=5.0, chance=random.Random())
    while time.perf_counter() < until and (device := devices.next()) is not None:
        try:
            credential = PreRegistered() if options.devices else await _claim(admin, tally)
            await _register(device, credential, door, tally, backoff)
        except (Refused, Unreachable, NotTrusted) as failure:
            tally.failures[str(failure)] += 1
    admin.close()
    door.close()


async def _claim(admin: Connection, tally: _Tally) -> Credential:
    answer = await _timed(admin, Call("POST", "/v1/devices/claim-token", b"{}"), "token", tally)
    return Token(str(read(answer)["claim_token"]))


async def _register(
    device: tuple[str, PrivateKey], credential: Credential, door: Connection, tally: _Tally, backoff: Backoff
) -> None:
    hardware_id, key = device
    parts: Parts = {"cpu_id": "bench", "board_serial": hardware_id, "mac_addresses": [], "disk_uuid": ""}
    who = Identity(hardware_id, parts, "bench", "1.0.0")
    flow = Registration(who, key, credential, InMemory()).flow()
    bundle = await perform_async(
        flow, lambda call: _timed(door, call, call.path.rsplit("/", 1)[1], tally), backoff, asyncio.sleep
    )
    tally.registered.append((hardware_id, bundle.serial))


async def _timed(connection: Connection, call: Call, step: str, tally: _Tally) -> Answer:
    began = time.perf_counter()
    headers = {name: value for name, value in call.headers.items() if name != "Content-Type"}
    try:
        response = await connection.post(call.path, call.body, headers=headers)
    except Lost as lost:
        tally.failures[f"{step}: {lost.reason}"] += 1
        raise Unreachable(lost.reason) from None
    if response.status < 300:
        tally.steps[step].append(time.perf_counter() - began)
    elif response.status >= 500:
        tally.failures[f"{step}: {response.status}"] += 1  # it is tried again
    return Answer(response.status, response.body, response.retry_after)


async def _pre_register(options: LoadOptions, devices: _Devices) -> None:
    admin = Connection(Address.parse(options.admin, {"X-API-Key": options.api_key}), TIMEOUT)
    for start in range(0, len(devices.known), ROWS):
        rows = [
            json.dumps({"serial_number": identity, "public_key": public_pem(key)}).encode()
            for identity, key in devices.known[start : start + ROWS]
        ]
        headers = {"Content-Type": "application/x-ndjson"}
        said = await admin.post("/v1/devices/pre-registrations", b"\n".join(rows) + b"\n", headers=headers)
        if said.status >= 300 or json.loads(said.body)["accepted"] != len(rows):
            raise RuntimeError(f"pre-registration: {said.status} {said.body[:500]!r}")
    admin.close()


async def _run(options: LoadOptions) -> dict[str, Any]:
    devices, tally = _Devices(options), _Tally()
    await _pre_register(options, devices)
    began = time.perf_counter()
    until = began + options.seconds
    await asyncio.gather(*(_work(options, devices, tally, until) for _ in range(options.connections)))
    return {
        "seconds": time.perf_counter() - began,
        "failures": dict(tally.failures),
        "steps": {step: quantiles(times) for step, times in tally.steps.items()},
        "registered": tally.registered,
    }


def main() -> None:
    import uvloop

    options = LoadOptions(**json.loads(sys.stdin.read()))
    if not Path(options.roots).exists():
        raise SystemExit(f"there are no roots in {options.roots}")
    print(json.dumps(uvloop.run(_run(options))))


if __name__ == "__main__":
    main()
