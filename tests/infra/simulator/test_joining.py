"""A fleet that registers itself and uploads over mTLS, against a fake ingress behind real TLS."""

import asyncio
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from infra.device.calls import Backoff
from infra.simulator.faults import Faults
from infra.simulator.fleet import Plan, fleet
from infra.simulator.http import Address
from infra.simulator.joining import Gates, Joining, NotJoined
from infra.simulator.journal import JournalError, JournalWriter, Run, registrations, runs
from infra.simulator.lines import OwnLines
from infra.simulator.own_certificates import OwnCertificates
from infra.simulator.run import Simulation, Unreachable
from infra.simulator.tally import Tally
from tests.infra.device.fake_fleet import refusal
from tests.infra.simulator.driving import CONTRACT, QUICK, SERIES
from tests.infra.simulator.fake_doors import FakeDoors
from tests.infra.simulator.fake_ingress import KEY, FakeIngress

SOON = Backoff(base=1.05, tries=8, longest=0.05)


def simulate(plan: Plan, folder: Path, doors: FakeDoors, key: str = KEY, most_idle: int = 100) -> tuple[Tally, Run]:
    async def main() -> Simulation:
        async with doors.serving(folder) as roots:
            admin = Address.parse(f"http://127.0.0.1:{doors.ingress.port}", {"X-API-Key": key})
            door = Address.parse(f"https://127.0.0.1:{doors.registration}", {})
            cuts = plan.faults.drop, plan.faults.reset
            joining = Joining(Gates(admin, door, roots, plan.timeout), random.Random(plan.seed), SOON, cuts)
            lines = OwnLines(Address.parse(f"https://127.0.0.1:{doors.data}", {}), plan.timeout, most_idle)
            members = fleet(plan, SERIES, "test", random.Random(f"fleet {plan.seed}"))
            journal = JournalWriter(folder / "journal" / "run", {})
            simulation = Simulation(plan, members, journal, lines, CONTRACT, OwnCertificates(joining, lines))
            try:
                await simulation.run(lambda _: None, 0.1)
            finally:
                journal.close()
            return simulation

    tally = asyncio.run(main()).tally
    (run,) = runs(folder / "journal")
    return tally, run


@pytest.mark.parametrize("faults", [Faults(), Faults(duplicates=0.1, drop=0.15, reset=0.1, late=0.1, reboot=0.05)])
def test_every_device_registers_once_and_uploads_with_its_own_certificate(tmp_path: Path, faults: Faults) -> None:
    doors = FakeDoors(FakeIngress())
    tally, run = simulate(replace(QUICK, faults=faults, seconds=3.0), tmp_path, doors)
    begun, done = registrations(tmp_path / "journal")
    assert (tally.registered, tally.joining, tally.unacknowledged, tally.refused) == (7, 0, 0, 0)
    assert begun == set(doors.known) == {one.hardware_id for one in done}
    assert sorted(doors.fleet.issued) == sorted(one.device_id for one in done)
    assert doors.seen == set(doors.fleet.issued) == {boot.device_id for boot in run.boots}
    assert doors.strangers == 0
    assert tally.sent == tally.acknowledged == len(doors.ingress.log) > 14


def test_devices_come_in_one_after_the_other(tmp_path: Path) -> None:
    doors = FakeDoors(FakeIngress())
    tally, _ = simulate(replace(QUICK, devices=40, seconds=3.0, join=9.0), tmp_path, doors)
    assert 0 < tally.registered < 40, "in three seconds of nine"
    assert (tally.joining, tally.unacknowledged) == (0, 0)


def test_with_fewer_connections_than_devices_the_longest_unused_are_closed(tmp_path: Path) -> None:
    doors = FakeDoors(FakeIngress())
    tally, _ = simulate(replace(QUICK, devices=9, seconds=3.0), tmp_path, doors, most_idle=2)
    assert (tally.registered, tally.unacknowledged, tally.errors) == (9, 0, {})


def test_a_device_that_is_refused_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    doors = FakeDoors(FakeIngress())
    doors.fleet.refuse = lambda number: refusal("REG-001") if number == 1 else None
    tally, _ = simulate(QUICK, tmp_path, doors)
    assert (tally.registered, tally.refused, tally.joining) == (6, 1, 1)
    assert any(reason.startswith("REG-001: ") for reason in tally.errors)


def test_a_server_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    doors = FakeDoors(FakeIngress())
    doors.fleet.refuse = lambda number: refusal("REG-005") if number % 3 == 0 else None
    tally, _ = simulate(QUICK, tmp_path, doors)
    assert (tally.registered, tally.refused, tally.joining, tally.unacknowledged) == (7, 0, 0, 0)


def test_a_server_that_stays_busy_for_longer_than_all_tries_refuses_nobody(tmp_path: Path) -> None:
    """As while a broker is away: the device begins its tries anew a while later."""
    doors = FakeDoors(FakeIngress())
    doors.fleet.refuse = lambda number: refusal("REG-010") if number <= 7 * (SOON.tries + 1) else None
    tally, _ = simulate(replace(QUICK, seconds=4.0), tmp_path, doors)
    assert (tally.registered, tally.refused, tally.joining, tally.unacknowledged) == (7, 0, 0, 0)


def test_a_device_that_has_begun_joins_even_when_the_run_has_come_to_its_end(tmp_path: Path) -> None:
    doors = FakeDoors(FakeIngress())
    until = time.monotonic() + 4.0
    doors.fleet.refuse = lambda number: refusal("REG-010") if time.monotonic() < until else None
    tally, _ = simulate(replace(QUICK, seconds=1.0, drain=20.0), tmp_path, doors)
    assert (tally.registered, tally.refused, tally.joining, tally.unacknowledged) == (7, 0, 0, 0)


def test_a_key_without_the_fleet_s_rights_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotJoined, match="answered with 401"):
        simulate(QUICK, tmp_path, FakeDoors(FakeIngress()), key="another key that is long enough")


def test_an_ingress_that_is_away_is_told(tmp_path: Path) -> None:
    doors = FakeDoors(FakeIngress())

    async def main() -> None:
        async with doors.serving(tmp_path) as roots:
            away = Address.parse("http://127.0.0.1:1", {})
            joining = Joining(Gates(away, away, roots, 1.0), random.Random(1), SOON)
            lines = OwnLines(away, 1.0)
            journal = JournalWriter(tmp_path / "journal" / "run", {})
            members = fleet(QUICK, SERIES, "test", random.Random(1))
            simulation = Simulation(QUICK, members, journal, lines, CONTRACT, OwnCertificates(joining, lines))
            with pytest.raises(Unreachable, match="pre-registration: unreachable"):
                await simulation.run(lambda _: None, 0.1)
            journal.close()

    asyncio.run(main())


def test_a_torn_line_is_not_read_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "run" / "registrations.jsonl"
    file.parent.mkdir()
    file.write_text('{"hardware_id": "a"}\n{"hardware_id": "b", "devi')
    assert registrations(tmp_path) == ({"a"}, [])
    file.write_text('{"hardware_id": "a"}\n{"other": 1}\n')
    with pytest.raises(JournalError, match=r"registrations\.jsonl:2: KeyError"):
        registrations(tmp_path)
