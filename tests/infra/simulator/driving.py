"""A run of the simulator against the fake ingress, and what must hold after it."""

import asyncio
import random
from pathlib import Path
from typing import Any

from infra.simulator.fleet import Plan, fleet
from infra.simulator.http import Address
from infra.simulator.journal import JournalWriter, Run, runs
from infra.simulator.lines import SharedLines
from infra.simulator.run import Simulation
from infra.simulator.series import load
from infra.simulator.tally import Tally
from schemas.contract import load as contract
from tests.infra.simulator.fake_ingress import KEY, FakeIngress

SERIES = load()
CONTRACT = contract()
QUICK = Plan(devices=7, seconds=1.0, rate=250.0, heartbeat=0.3, drain=10.0, timeout=2.0, connections=4)


async def run_at(plan: Plan, folder: Path, port: int, key: str = KEY) -> Simulation:
    address = Address.parse(f"http://127.0.0.1:{port}", {"X-API-Key": key})
    members = fleet(plan, SERIES, "test", random.Random(f"fleet {plan.seed}"))
    journal = JournalWriter(folder / "run", {})
    simulation = Simulation(plan, members, journal, SharedLines(address, plan.timeout), CONTRACT)
    try:
        await simulation.run(lambda _: None, 0.1)
    finally:
        journal.close()
    return simulation


def simulate(plan: Plan, folder: Path, ingress: FakeIngress, key: str = KEY) -> tuple[Tally, Run]:
    async def main() -> Simulation:
        async with ingress.serving():
            return await run_at(plan, folder, ingress.port, key)

    tally = asyncio.run(main()).tally
    (run,) = runs(folder)
    return tally, run


def identities(ingress: FakeIngress, run: Run) -> dict[tuple[Any, ...], int]:
    """The ingress's log as the journal names it: (kind, boot, sequence) -> offset."""
    numbers = {(boot.device_id, boot.boot_id): n for n, boot in enumerate(run.boots)}
    registered = {device: n for (device, _), n in reversed(numbers.items())}
    return {
        (kind, numbers.get((device, boot_id), registered[device]), sequence): offset
        for (kind, device, boot_id, sequence), (offset, _) in ingress.log.items()
    }


def check_journal(ingress: FakeIngress, run: Run) -> None:
    """The acknowledged positions are those that the ingress holds, each once; and each was journalled as sent."""
    held = identities(ingress, run)
    acknowledged = {(kind, boot, sequence): offset for kind, boot, sequence, _, offset in run.acknowledged.tolist()}
    assert acknowledged == held
    assert len(run.acknowledged) == len(acknowledged)
    assert {row[:3] for row in map(tuple, run.sent.tolist())} == set(held)
