"""Faults are made as asked for, and none of them loses or doubles an upload."""

import asyncio
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.simulator.faults import Faults
from infra.simulator.fleet import Plan, fleet
from infra.simulator.http import Address
from infra.simulator.journal import JournalWriter, Kind
from infra.simulator.lines import SharedLines
from infra.simulator.run import Simulation
from infra.simulator.series import SOURCES, load
from tests.infra.simulator.driving import CONTRACT, QUICK, SERIES, check_journal, simulate
from tests.infra.simulator.fake_ingress import KEY, FakeIngress

ALL = Faults(duplicates=0.2, late=0.1, reorder=0.1, drop=0.1, reset=0.1, corrupt=0.1, reboot=0.1, skew=0.5)


def test_under_all_faults_each_upload_lands_once(tmp_path: Path) -> None:
    ingress = FakeIngress()
    tally, run = simulate(replace(QUICK, seconds=2.0, faults=ALL, batch=2), tmp_path, ingress)
    check_journal(ingress, run)
    assert tally.sent == tally.acknowledged
    assert (tally.refused, tally.errors) == (0, {})
    assert set(tally.injected) == {"duplicates", "late", "reorder", "drop", "reset", "corrupt", "reboot"}
    assert all(count > 3 for count in tally.injected.values())
    assert ingress.refused.total() > 0  # the broken copies
    assert len(run.boots) == 7 + tally.injected["reboot"]
    assert max(Counter(ingress.arrivals).values()) > 1  # the duplicates


@pytest.mark.parametrize("fault", ["late", "reorder"])
def test_late_and_reordered_uploads_arrive_after_their_successors(tmp_path: Path, fault: str) -> None:
    plain, faulty = FakeIngress(), FakeIngress()
    simulate(QUICK, tmp_path / "plain", plain)
    simulate(replace(QUICK, faults=Faults(**{fault: 0.2})), tmp_path / "faulty", faulty)
    assert inversions(plain) == 0
    assert inversions(faulty) > 3


def inversions(ingress: FakeIngress) -> int:
    """Telemetry that arrived after a later one of its device."""
    newest: dict[str, int] = {}
    found = 0
    for kind, device, _, sequence in ingress.arrivals:
        if kind is Kind.TELEMETRY:
            found += sequence < newest.get(device, -1)
            newest[device] = max(newest.get(device, -1), sequence)
    return found


@pytest.mark.parametrize(("fault", "arrives"), [("drop", True), ("reset", False)])
def test_network_faults_cut_the_connection(tmp_path: Path, fault: str, arrives: bool) -> None:
    """A drop comes after the request was written, so that it is done twice; a reset amid it, so that it is not."""
    ingress = FakeIngress()
    tally, run = simulate(replace(QUICK, faults=Faults(**{fault: 0.2})), tmp_path, ingress)
    check_journal(ingress, run)
    assert tally.sent == tally.acknowledged
    assert tally.retries == tally.injected[fault] > 10
    doubled = sum(count > 1 for count in Counter(ingress.arrivals).values())
    assert (doubled > 0) == arrives


def test_a_seed_draws_the_same_fleet_and_faults(tmp_path: Path) -> None:
    def drawn(seed: int, name: str) -> Any:
        ingress = FakeIngress()
        # One connection and one device: what is drawn when does not hang on the network's time.
        plan = Plan(devices=1, seconds=30.0, rate=0.0, seed=seed, heartbeat=60.0, connections=1, faults=Faults(reboot=0.05))
        plan = replace(plan, drain=5.0)

        async def main() -> None:
            async with ingress.serving():
                address = Address.parse(f"http://127.0.0.1:{ingress.port}", {"X-API-Key": KEY})
                members = fleet(plan, SERIES, "test", random.Random(f"fleet {plan.seed}"))
                journal = JournalWriter(tmp_path / name, {})
                simulation = Simulation(plan, members, journal, SharedLines(address, plan.timeout), CONTRACT)
                await simulation.run(lambda tally: simulation.stop() if tally.sent > 150 else None, 0.01)
                journal.close()

        asyncio.run(main())
        return [
            [(reading["metric"], reading["value"]) for reading in values["readings"]]
            for key, (_, values) in ingress.log.items()
            if key[0] is Kind.TELEMETRY
        ][:100]

    first = drawn(5, "first")
    assert len(first) == 100
    assert drawn(5, "second") == first
    assert drawn(6, "third") != first


def test_no_reading_is_from_the_future(tmp_path: Path) -> None:
    """However long a run plays its series fast: a contract bounds the years, and a device that measures ahead is a liar."""
    ingress = FakeIngress()
    weather = [source for source in SOURCES if source.name == "seattle-weather"]
    plan = replace(QUICK, devices=2, seconds=1.0, rate=0.0)

    async def main() -> None:
        async with ingress.serving():
            address = Address.parse(f"http://127.0.0.1:{ingress.port}", {"X-API-Key": KEY})
            members = fleet(plan, load(weather), "test", random.Random(1))
            for member in members:
                member.device.begins += member.device.series.period - 86_400_000_000 * 3  # three days are left
            journal = JournalWriter(tmp_path / "run", {})
            await Simulation(plan, members, journal, SharedLines(address, plan.timeout), CONTRACT).run(lambda _: None, 0.1)
            journal.close()

    asyncio.run(main())
    uploads = [values for key, (_, values) in ingress.log.items() if key[0] is Kind.TELEMETRY]
    assert len(uploads) > 20
    assert all(reading["at"] <= upload["occurred_at"] for upload in uploads for reading in upload["readings"])
    assert not ingress.refused
