"""Nothing of a stack outlives its supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.stack import state
from infra.stack.ports import free_ports
from infra.stack.service import StackError

ROOT = Path(__file__).resolve().parents[3]
SUPERVISOR = """
import sys, time
from pathlib import Path
from infra.settings import Settings
from infra.stack.harness import run_services
from tests.infra.stack.fakes import server
directory, first = Path(sys.argv[1]), int(sys.argv[2])
services = [server(directory, f"fake-{i}", first + i) for i in range(3)]
with run_services(services, Settings(data_dir=str(directory))):
    print("up", flush=True)
    time.sleep(60)
"""


@contextmanager
def supervisor(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that supervises three stand-ins, which are up."""
    with free_ports(3) as ports:
        command = [sys.executable, "-c", SUPERVISOR, str(directory), str(ports[0])]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
            process.kill()


def children(directory: Path) -> list[state.ProcessState]:
    written = state.read(directory)
    assert written is not None
    found = [process for process in written.processes if state.alive(process.pid, process.start)]
    assert len(found) == 3
    return found


def test_kill_9_of_the_supervisor_ends_all(tmp_path: Path) -> None:
    with supervisor(tmp_path) as process:
        found = children(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        until = time.monotonic() + 5
        while any(state.alive(child.pid, child.start) for child in found):
            assert time.monotonic() < until, "left alive"
            time.sleep(0.01)
        assert state.running(tmp_path) is None


def test_ctrl_c_reaches_the_supervisor_only_which_stops_all_cleanly(tmp_path: Path) -> None:
    with supervisor(tmp_path) as process:
        found = children(tmp_path)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        process.wait(20)
        assert not any(state.alive(child.pid, child.start) for child in found)
        assert (tmp_path / "notes").read_text().count(" end\n") == 3


def test_leftovers_of_an_earlier_supervisor_are_ended(tmp_path: Path) -> None:
    left = subprocess.Popen(["sleep", "60"])
    try:
        start = state.start_time(left.pid)
        old = state.ProcessState("broker", pid=left.pid, start=start)
        reused = state.ProcessState("redis", pid=os.getpid(), start=1)  # this pid is another process by now
        state.write(tmp_path, state.StackState(pid=1, start=None, started=0.0, processes=[old, reused]))
        state.clear_leftovers(tmp_path)
        assert left.wait(5) == -signal.SIGKILL
    finally:
        left.kill()
        left.wait()


def test_the_launcher_refuses_when_its_parent_is_gone() -> None:
    launcher = ROOT / "infra" / "stack" / "launcher.py"
    result = subprocess.run(
        [sys.executable, "-I", "-S", str(launcher), "1", "echo", "ran"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "the supervisor is gone" in result.stderr
    assert result.stdout == ""


def test_the_launcher_names_a_program_that_is_missing() -> None:
    launcher = ROOT / "infra" / "stack" / "launcher.py"
    command = [sys.executable, "-I", "-S", str(launcher), str(os.getpid()), "/no/such/program"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "cannot run /no/such/program: No such file or directory" in result.stderr


def test_the_lock_is_released_with_its_holder(tmp_path: Path) -> None:
    with state.lock(tmp_path), pytest.raises(StackError, match="already runs on"):
        state.lock(tmp_path)
    state.lock(tmp_path).close()
