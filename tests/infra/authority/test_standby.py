"""A second authority process waits, shows what the first does, and takes over when it is gone; the first may come back."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from infra.settings import Settings
from infra.stack.harness import Stack
from infra.stack.ports import free_ports
from schemas.certificate_messages import LedgerCommandRepeated
from schemas.registration_commands import RecordCertificate
from schemas.transparency.notes import opened
from streams.ledger.machine import EVENTS, REGISTRATION
from tests.infra.authority.fleet import Fleet

pytestmark = pytest.mark.stack


def test_the_second_process_takes_over(stack: Stack, fleet: Fleet, tmp_path: Path) -> None:
    """The first one is stopped in the middle (SIGSTOP: to the group it is dead, and it may come back)."""
    with free_ports(1) as (port,):
        own = replace(stack.settings, authority_port=port, authority_url=stack.settings.authority)
    second = start(own, tmp_path)
    first = stack.pid("authority")
    try:
        await_role(port, "standby")
        os.kill(first, signal.SIGSTOP)
        command = fleet.issue(2)
        fleet.send(command)
        await_role(port, "active")
        (before,) = of_device(fleet, "SN-2", 1)
        os.kill(first, signal.SIGCONT)
        fleet.send(command, fleet.issue(3))
        fleet.wait_for(EVENTS, 1, LedgerCommandRepeated)
        of_device(fleet, "SN-3", 1)
        assert [record.serial for record in of_device(fleet, "SN-2", 2)] == [before.serial] * 2
        answer = httpx.get(f"http://127.0.0.1:{port}/ledger/checkpoint", timeout=10.0)
        assert opened(answer.text, fleet.key).size >= 3
    finally:
        os.kill(first, signal.SIGCONT)
        second.terminate()
        assert second.wait(30) is not None


def of_device(fleet: Fleet, hardware_id: str, count: int) -> list[RecordCertificate]:
    return fleet.wait_for(REGISTRATION, count, RecordCertificate, lambda record: record.hardware_id == hardware_id)


def start(settings: Settings, directory: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "infra.cli.main", "authority", "--index", "1"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLOG_")}
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(command, env=kept | settings.environment(), stderr=log, cwd=directory)


def await_role(port: int, role: str) -> None:
    until = time.monotonic() + 90
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).json()["role"] == role:
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < until, role
        time.sleep(0.1)
