"""A stock client verifies the ledger: Go's golang.org/x/mod/sumdb, as it is, on the tiles that the authority serves."""

import base64
import os
import subprocess
import time
from pathlib import Path

import pytest

from schemas.certificate_messages import CertificateIssued, ExceptionGranted, GrantException
from streams.ledger.machine import EVENTS
from tests.clients.install import GO
from tests.infra.authority.fleet import Fleet

pytestmark = pytest.mark.stack
PROGRAM = Path(__file__).parents[2] / "clients" / "ledger"
LEAVES = 300  # more than a tile holds


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("client") / "client"
    command = ["go", "build", "-o", str(program), "."]
    built = subprocess.run(
        command, cwd=PROGRAM, env=dict(os.environ) | GO, capture_output=True, text=True, timeout=300, check=False
    )
    assert built.returncode == 0, built.stderr
    return program


def run(client: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(client), *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_a_stock_client_verifies_entries_and_growth(client: Path, fleet: Fleet) -> None:
    url, key = f"{fleet.settings.authority}/ledger", fleet.key.text
    command = fleet.issue(60)
    fleet.send(command)
    issued = fleet.wait_for(EVENTS, 1, CertificateIssued, lambda event: event.command_id == command.command_id)[0]
    early = fleet.head(issued.leaf_index + 1)
    first = run(client, url, key)
    assert first.returncode == 0, first.stderr
    until = time.time_ns() // 1000 + 3_600_000_000
    fleet.send(*(GrantException(**fleet.names(), serial=issued.serial, until=until, detail="x") for _ in range(LEAVES)))
    fleet.wait_for(EVENTS, LEAVES, ExceptionGranted)
    late = fleet.head(early.size + LEAVES)
    root = base64.b64encode(early.root).decode()
    again = run(client, url, key, str(early.size), root)
    assert again.returncode == 0, again.stderr
    assert again.stdout.split() == [str(late.size), base64.b64encode(late.root).decode()]
    other = base64.b64encode(late.root).decode()
    assert run(client, url, key, str(early.size), other).returncode == 1
    name, _, _ = key.split("+", 2)
    assert run(client, url, f"{name}+00000000+{key.rsplit('+', 1)[1]}").returncode == 1
