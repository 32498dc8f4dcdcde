"""A flood of bad records: the partition halts and says so, nothing is lost, and an operator can let it go on."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from infra import compose, view_status
from infra.settings import Settings
from infra.stack.harness import Stack
from projections.catalogue import CATALOGUE
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
FLEETLOG = str(Path(sys.executable).parent / "fleetlog")
LIMIT = 200
FLOOD = 700
SOURCE = "fleet.telemetry/5"
READERS = ("device_state", "telemetry")


@pytest.fixture
def stack(shared_stack: SharedStack, tmp_path: Path) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path, settings=Settings(dead_letter_run=LIMIT)) as running:
        yield running


def fleetlog(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FLEETLOG, *arguments], env=stack.settings.environment(), capture_output=True, text=True, timeout=300, check=False
    )


def status(stack: Stack) -> dict[str, view_status.ViewStatus]:
    """What `fleetlog projection status` prints, without a process for each question."""
    log = compose.log_reader(stack.settings)
    try:
        return {view.name: view_status.status(stack.settings, view, log) for view in CATALOGUE}
    finally:
        log.close()


def is_halted(stack: Stack) -> bool:
    found = status(stack)
    return all(SOURCE in found[name].halted for name in READERS)


def goes_on_elsewhere(stack: Stack) -> bool:
    found = status(stack)
    return found["telemetry"].folded > 0 and found["heartbeats"].lag == 0


def is_caught_up(stack: Stack) -> bool:
    return all(view.lag == 0 and not view.halted for view in status(stack).values())


def until(seconds: float, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.2)


def test_a_flood_halts_its_partition_loudly_and_a_higher_limit_lets_it_go_on(stack: Stack) -> None:
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "enable.idempotence": True})
    for number in range(FLOOD):
        producer.produce("fleet.telemetry", b"junk %d" % number, b"k", partition=5)
    assert producer.flush(20) == 0
    until(120, lambda: is_halted(stack))
    told = fleetlog(stack, "projection", "status", "--json")
    assert told.returncode == 1
    halted = {view["name"]: view["halted"] for view in json.loads(told.stdout)}
    assert f"the limit is {LIMIT}" in halted["telemetry"][SOURCE]
    assert halted["heartbeats"] == {}

    # The other partitions go on.
    sent = fleetlog(stack, "simulate", "--for", "3s", "--devices", "60", "--seed", "3")
    assert sent.returncode == 0, sent.stderr
    until(120, lambda: goes_on_elsewhere(stack))
    assert fleetlog(stack, "reconcile", "--wait", "3s").returncode == 1, "what came after the flood is not in the views yet"

    stack.stop("worker-0")
    patient = stack.settings.environment() | {"FLEETLOG_DEAD_LETTER_RUN": str(10 * FLOOD)}
    worker = subprocess.Popen([FLEETLOG, "worker"], env=patient, stderr=subprocess.DEVNULL)
    try:
        until(180, lambda: is_caught_up(stack))
        reconciled = fleetlog(stack, "reconcile", "--wait", "30s")
        assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
        verified = fleetlog(stack, "projection", "verify", "--all")
        assert verified.returncode == 0, verified.stdout + verified.stderr
    finally:
        worker.terminate()
        worker.wait(20)
