"""`fleetlog simulate`: a fleet whose readings are real sensor series."""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, duration, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.simulator.admission import Joiner
    from infra.simulator.fleet import Plan
    from infra.simulator.lines import Lines
    from infra.simulator.progress import Progress
    from infra.simulator.run import Simulation
    from infra.simulator.tally import Tally


def add(commands: Commands) -> None:
    command = add_command(
        commands,
        "simulate",
        "Send real sensor series to the ingress as a fleet of devices, and journal what was sent and acknowledged. Ends "
        "when --for is over or by Ctrl-C (the second one does not wait for outstanding uploads). Exit code 1: some "
        "uploads were never acknowledged.",
        "fleetlog simulate --devices 100 --for 60s --faults duplicates=0.01,late=0.02,drop=0.01 --seed 7",
        run,
    )
    command.add_argument("--devices", type=_positive, default=50, metavar="N", help="devices (default 50)")
    command.add_argument("--for", dest="seconds", type=duration, metavar="60s", help="how long (default: until stopped)")
    pace = command.add_mutually_exclusive_group()
    pace.add_argument(
        "--rate",
        type=_not_negative,
        default=300.0,
        metavar="X",
        help="telemetry records/s of the whole fleet, 0: as many as the ingress takes (default 300)",
    )
    pace.add_argument(
        "--speed", type=_speed, metavar="real|N", help="play every series as it was measured, or N times faster"
    )
    command.add_argument("--seed", type=int, default=0, metavar="S", help="of what is drawn (default 0)")
    command.add_argument("--faults", default="", metavar="NAME=SHARE,...", help=_fault_help())
    _add_manner(command)


def _add_manner(command: argparse.ArgumentParser) -> None:
    command.add_argument("--batch", type=_positive, default=1, metavar="N", help="uploads in a request (default 1)")
    command.add_argument("--connections", type=_positive, default=8, metavar="N", help="connections (default 8)")
    command.add_argument("--heartbeat", type=duration, default=10.0, metavar="10s", help="between a device's heartbeats")
    command.add_argument(
        "--join", type=duration, default=0.0, metavar="0s", help="devices come in one after the other within so long"
    )
    command.add_argument(
        "--drain", type=duration, default=60.0, metavar="60s", help="longest wait for outstanding uploads at the end"
    )
    command.add_argument("--journal", type=Path, metavar="PATH", help="journal folder (default: data_dir/journal)")
    way = command.add_mutually_exclusive_group()
    way.add_argument("--mtls", action="store_true", help="devices register themselves and upload with their certificates")
    way.add_argument("--plain", action="store_true", help="an API key speaks for all devices (default)")
    command.add_argument("--json", action="store_true", help="print a summary as JSON")


def _fault_help() -> str:
    return (
        "faults to make, each with its share of uploads: duplicates, late, reorder, drop (connection closed before the "
        "answer), reset (amid the request), corrupt (a broken copy goes first), reboot; skew: "
        "share of devices with a wrong clock"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"not a number from 1: {text!r}")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number from 0: {text!r}")
    return value


def _speed(text: str) -> float:
    value = 1.0 if text == "real" else _not_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError("a series that stands still sends nothing")
    return value


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Run a simulation; exit code 0: every upload was acknowledged."""
    from infra.device.registration import NotTrusted
    from infra.simulator.faults import FaultError
    from infra.simulator.joining import NotJoined
    from infra.simulator.progress import Progress
    from infra.simulator.run import NotAllowed, Unreachable
    from infra.simulator.series import SeriesMissing

    try:
        plan = _plan(options)
    except FaultError as error:
        return fail(f"--faults: {error}", 2)
    try:
        with Progress(quiet=options.json) as progress:
            way = _over_mtls if options.mtls else _plain
            name, tally = _simulate(plan, settings, options.journal or settings.data / "journal", progress, way)
    except Unreachable as error:
        return fail(f"the ingress at {settings.ingress} does not answer: {error}", 3)
    except (NotAllowed, NotJoined, NotTrusted, SeriesMissing, ValueError) as error:
        return fail(str(error), 2)
    except OSError as error:
        return fail(f"the journal can't be written: {error}", 2)
    if options.json:
        print_json(tally.summary(name))
    else:
        print(_sentence(name, tally))
    return 1 if tally.unacknowledged or tally.refused or tally.joining else 0


def _plan(options: argparse.Namespace) -> "Plan":
    """
    Raises:
        FaultError
    """
    from infra.simulator.faults import Faults
    from infra.simulator.fleet import Plan

    return Plan(
        devices=options.devices,
        seconds=options.seconds,
        rate=options.rate,
        speed=options.speed,
        seed=options.seed,
        faults=Faults.parse(options.faults),
        batch=options.batch,
        connections=options.connections,
        heartbeat=options.heartbeat,
        join=options.join,
        drain=options.drain,
    )


def _plain(plan: "Plan", settings: Settings) -> "tuple[Lines, Joiner | None]":
    """An API key speaks for all devices."""
    from infra.api_key import api_key
    from infra.simulator.http import Address
    from infra.simulator.lines import SharedLines

    return SharedLines(Address.parse(settings.ingress, {"X-API-Key": api_key(settings)}), plan.timeout), None


def _over_mtls(plan: "Plan", settings: Settings) -> "tuple[Lines, Joiner | None]":
    """Each device registers itself, and uploads with its certificate."""
    import random

    from infra.api_key import api_key
    from infra.device.calls import Backoff
    from infra.simulator.http import Address
    from infra.simulator.joining import Gates, Joining
    from infra.simulator.lines import OwnLines
    from infra.simulator.own_certificates import OwnCertificates

    gates = Gates(
        admin=Address.parse(settings.ingress, {"X-API-Key": api_key(settings)}),
        door=Address.parse(f"https://{settings.host}:{settings.registration_port}", {}),
        roots=settings.data / "pki" / "ca.pem",
        timeout=plan.timeout,
    )
    chance = random.Random(f"joining {plan.seed}")
    joining = Joining(gates, chance, Backoff(base=1.5, longest=5.0, chance=chance), (plan.faults.drop, plan.faults.reset))
    lines = OwnLines(Address.parse(f"https://{settings.host}:{settings.data_port}", {}), plan.timeout)
    return lines, OwnCertificates(joining, lines)


def _simulate(
    plan: "Plan",
    settings: Settings,
    journal: Path,
    progress: "Progress",
    way: "Callable[[Plan, Settings], tuple[Lines, Joiner | None]]",
) -> "tuple[str, Tally]":
    import random
    import secrets

    import uvloop

    from infra.simulator.fleet import fleet
    from infra.simulator.journal import JournalWriter
    from infra.simulator.run import Simulation
    from infra.simulator.series import load
    from schemas import contract

    lines, joiner = way(plan, settings)
    name = secrets.token_hex(4)
    members = fleet(plan, load(), name, random.Random(f"fleet {plan.seed}"))
    writer = JournalWriter(journal / name, {"seed": plan.seed, "ingress": settings.ingress})
    try:
        simulation = Simulation(plan, members, writer, lines, contract.load(), joiner)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(simulation, progress))
    finally:
        writer.close()
    return name, simulation.tally


async def _until_stopped(simulation: "Simulation", progress: "Progress") -> None:
    """Run; the first SIGINT or SIGTERM ends the making of uploads, the second the run."""
    import signal

    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(simulation.run(progress.show, progress.every))

    def stop() -> None:
        if simulation.stopping:
            running.cancel()
        else:
            print("fleetlog: delivering what is outstanding; once more to leave it", file=sys.stderr)
            simulation.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await running
    except asyncio.CancelledError:
        if not simulation.stopping:
            raise


def _sentence(name: str, tally: "Tally") -> str:
    errors = ", ".join(f"{why} {count:,}" for why, count in tally.errors.most_common()) or "none"
    injected = ", ".join(f"{fault} {count:,}" for fault, count in tally.injected.most_common())
    return (
        f"run {name}: {tally.registered:,} devices, {tally.sent:,} records sent, {tally.acknowledged:,} acknowledged, "
        f"{tally.unacknowledged:,} not, {tally.refused:,} refused, {tally.acknowledged / tally.seconds:,.0f} records/s, "
        f"{tally.retries:,} retries, errors: {errors}" + (f"; faults made: {injected}" if injected else "")
    )
