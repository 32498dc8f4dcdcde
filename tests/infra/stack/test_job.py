"""The main job of `fleetlog run`, with small scripts in place of the simulator and the reconciliation."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.stack.job import simulate_and_reconcile, unlimited, way

INTERRUPTIBLE = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (print("interrupted"), sys.exit(0)))
open(sys.argv[1], "w").close()
time.sleep(60)
"""


class Commands:
    """Stands in for infra.stack.job._command: notes each command and gives it its exit code."""

    def __init__(self, simulate: str, reconcile: int) -> None:
        self.seen: list[tuple[str, ...]] = []
        self.processes: list[asyncio.subprocess.Process] = []
        self._simulate, self._reconcile = simulate, reconcile

    @asynccontextmanager
    async def __call__(self, settings: Settings, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        self.seen.append(arguments)
        script = self._simulate if arguments[0] == "simulate" else f"raise SystemExit({self._reconcile})"
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(settings.data / "begun"))
        self.processes.append(process)
        yield process


def run_job(directory: Path, commands: Commands, monkeypatch: pytest.MonkeyPatch, stop_when_begun: bool = False) -> int:
    monkeypatch.setattr("infra.stack.job._command", commands)
    seconds = None if stop_when_begun else 60.0

    async def main() -> int:
        stop = asyncio.Event()
        job = asyncio.create_task(simulate_and_reconcile(Settings(data_dir=str(directory)), seconds, stop))
        while stop_when_begun and not (directory / "begun").exists():
            await asyncio.sleep(0.01)
        if stop_when_begun:
            stop.set()
        return await asyncio.wait_for(job, 30)

    return asyncio.run(main())


def test_the_views_are_given_time_to_catch_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands("", 0)
    assert run_job(tmp_path, commands, monkeypatch) == 0
    assert commands.seen == [("simulate", "--mtls", "--for", "60.000s"), ("reconcile", "--wait", "90s")]


def test_a_loss_is_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_job(tmp_path, Commands("", 1), monkeypatch) == 1


def test_a_simulator_that_failed_is_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_job(tmp_path, Commands("raise SystemExit(3)", 0), monkeypatch) == 3


def test_stopping_interrupts_the_simulator_and_reconciles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(INTERRUPTIBLE, 0)
    assert run_job(tmp_path, commands, monkeypatch, stop_when_begun=True) == 0
    assert [one[0] for one in commands.seen] == ["simulate", "reconcile"]
    assert commands.processes[0].returncode == 0, "it was asked, not killed"


def test_a_simulator_that_does_not_stop_is_killed_and_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.stack.job.STOP_SECONDS", 0.2)
    deaf = INTERRUPTIBLE.replace('(print("interrupted"), sys.exit(0))', "None")
    commands = Commands(deaf, 0)
    assert run_job(tmp_path, commands, monkeypatch, stop_when_begun=True) == -9


def test_the_usual_limits_are_lifted_and_those_that_were_set_are_kept() -> None:
    lifted = unlimited(Settings(limit_uploads=5))
    assert (lifted.limit_registrations, lifted.limit_heartbeats, lifted.limit_uploads) == (0, 0, 5)


def test_at_an_outside_ingress_an_api_key_speaks_for_the_devices() -> None:
    assert (way(Settings()), way(Settings(ingress_url="http://ingress"))) == ("--mtls", "--plain")
