"""What the supervisor tells other processes: DATA_DIR/stack.json, and the lock that shows that it lives."""

import fcntl
import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from infra.stack.service import StackError

PROC_START_FIELD = 19  # of /proc/PID/stat after the name: start time in clock ticks since boot


@dataclass(slots=True)
class ProcessState:
    """One process: `since` (Unix seconds) is when `state` began; `start` identifies the process behind `pid`."""

    name: str
    state: str = "waiting"
    reason: str = ""
    pid: int | None = None
    start: int | None = None
    since: float = 0.0
    restarts: int = 0
    ports: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class StackState:
    """The stack: `state` is starting, healthy, failed or stopped; `timeline` is [seconds since start, name, state]."""

    pid: int
    start: int | None
    started: float
    state: str = "starting"
    failure: str = ""
    processes: list[ProcessState] = field(default_factory=list)
    timeline: list[tuple[float, str, str]] = field(default_factory=list)


def state_path(data: Path) -> Path:
    return data / "stack.json"


def write(data: Path, state: StackState) -> None:
    """Replace the state file in one step."""
    fresh = data / "stack.json.new"
    fresh.write_text(json.dumps(asdict(state), indent=1))
    fresh.replace(state_path(data))


def read(data: Path) -> StackState | None:
    """The last state written; None if no stack ever ran here."""
    try:
        value = json.loads(state_path(data).read_text())
    except FileNotFoundError:
        return None
    value["processes"] = [ProcessState(**one) for one in value["processes"]]
    value["timeline"] = [tuple(one) for one in value["timeline"]]
    return StackState(**value)


def running(data: Path) -> StackState | None:
    """The state of the stack that runs on this data directory; None if none does."""
    path = data / "stack.lock"
    if not path.exists():
        return None
    with path.open("r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return read(data)
    return None


def lock(data: Path) -> IO[bytes]:
    """Take the data directory for this process, until the returned file is closed or the process ends.

    Raises:
        StackError: another stack runs on it.
    """
    data.mkdir(parents=True, exist_ok=True)
    file = (data / "stack.lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        state = read(data)
        who = f" (supervisor pid {state.pid})" if state else ""
        raise StackError(f"a stack already runs on {data}{who}: stop it with `fleetlog down`") from None
    return file


def start_time(pid: int) -> int | None:
    """Ticks since boot at which `pid` started; None if there is no such process (or it is only waited for)."""
    try:
        name_and_rest = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    rest = name_and_rest.rsplit(")", 1)[1].split()
    return None if rest[0] == "Z" else int(rest[PROC_START_FIELD])


def alive(pid: int | None, start: int | None) -> bool:
    return pid is not None and start is not None and start_time(pid) == start


def clear_leftovers(data: Path, seconds: float = 10.0) -> None:
    """Processes of a supervisor that was killed: the kernel ends them with it; make sure, and wait until they are gone.

    Raises:
        StackError: one cannot be ended.
    """
    old = read(data)
    left = [p for p in old.processes if alive(p.pid, p.start)] if old else []
    until = time.monotonic() + seconds
    while left:
        for process in left:
            assert process.pid is not None
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.05)
        left = [p for p in left if alive(p.pid, p.start)]
        if left and time.monotonic() > until:
            raise StackError(f"cannot end {', '.join(f'{p.name} (pid {p.pid})' for p in left)} of an earlier stack")
