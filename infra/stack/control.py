"""What is asked of a stack from outside of its supervisor: start it in the background, stop it, tell its status."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from infra.settings import Settings, child_environment
from infra.stack import state
from infra.stack.progress import line, summary
from infra.stack.service import StackError
from infra.stack.state import ProcessState, StackState

STOP_SECONDS = 120.0  # longer than all stop bounds of the services together
GOOD = ("healthy", "done")


def detach(settings: Settings, only: Sequence[str] | None, say: Callable[[str], None]) -> None:
    """Start the stack in a process of its own; returns when it is healthy.

    Raises:
        StackError: it has failed; the message is the supervisor's.
    """
    command = [sys.executable, "-P", "-m", "infra.stack.foreground", *([",".join(only)] if only else [])]
    output = settings.data / "logs" / "supervisor.out"
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w") as file:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=child_environment(settings.environment()),
            start_new_session=True,
        )
    try:
        _until_healthy(settings, child, output, say)
    except KeyboardInterrupt:
        child.send_signal(signal.SIGTERM)
        child.wait()
        raise


def _until_healthy(settings: Settings, child: subprocess.Popen[bytes], output: Path, say: Callable[[str], None]) -> None:
    shown = 0
    while True:
        now = state.read(settings.data)
        if now is not None and now.pid == child.pid:
            for seconds, name, what in now.timeline[shown:]:
                say(line(seconds, name, what))
            shown = len(now.timeline)
            if now.state == "healthy":
                say(summary(now))
                return
        code = child.poll()
        if code is not None:
            raise StackError(_last_words(output), code if code in (1, 2, 3) else 1)
        time.sleep(0.05)


def _last_words(output: Path) -> str:
    text = output.read_text(errors="replace")
    marked = text.rfind("fleetlog: ")
    return text[marked + len("fleetlog: ") :].strip() if marked >= 0 else f"the supervisor ended:\n{text[-2000:]}"


def stop(settings: Settings) -> bool:
    """Stop the stack and wait until it is gone; False if none runs.

    Raises:
        StackError: the supervisor did not end in time and was killed (its processes with it).
    """
    running = state.running(settings.data)
    if running is None:
        return False
    os.kill(running.pid, signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while state.alive(running.pid, running.start):
        if time.monotonic() > until:
            os.kill(running.pid, signal.SIGKILL)
            raise StackError(f"the supervisor (pid {running.pid}) did not stop in {STOP_SECONDS:.0f} s and was killed")
        time.sleep(0.05)
    return True


def report(running: StackState) -> dict[str, object]:
    """The status as JSON shows it; `healthy` is true when every process is."""
    processes = {p.name: _process_report(p) for p in running.processes}
    return {
        "healthy": all(p.state in GOOD and (p.state == "done" or _lives(p)) for p in running.processes),
        "state": running.state,
        "supervisor": {"pid": running.pid, "uptime_seconds": _uptime(running.start)},
        "processes": processes,
        "timeline": running.timeline,
    }


def _process_report(process: ProcessState) -> dict[str, object]:
    lives = _lives(process)
    shown = asdict(process)
    shown.pop("name")
    shown.pop("start")
    shown["state"] = process.state if lives or process.pid is None else "gone"
    shown["uptime_seconds"] = _uptime(process.start) if lives else None
    shown["rss_bytes"] = _rss(process.pid) if lives and process.pid else None
    return shown


def _lives(process: ProcessState) -> bool:
    return state.alive(process.pid, process.start)


def _uptime(start: int | None) -> float | None:
    """Seconds since a process started, from its start in clock ticks since boot."""
    if start is None:
        return None
    since_boot = float(Path("/proc/uptime").read_text().split()[0])
    return round(since_boot - start / os.sysconf("SC_CLK_TCK"), 1)


def _rss(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it ended just now
        return None
    return next((int(row.split()[1]) * 1024 for row in lines if row.startswith("VmRSS:")), None)
