"""The load of a round: `fleetlog simulate` in a process of its own, with faults of its own making."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.chaos.checks import command
from infra.chaos.rounds import LoadFailed
from infra.chaos.schedule import Round
from infra.settings import Settings, child_environment
from infra.stack.child import LAUNCHER
from infra.stack.logs import readable, tail

LINES_SHOWN = 15
FIRST_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How much is sent, and the faults that the devices make of themselves (see infra.simulator.faults).

    `rate`: records per second over all devices. `drain`: seconds that the devices keep trying after their last record.
    """

    devices: int = 40
    rate: float = 300.0
    batch: int = 2
    heartbeat: float = 2.0
    drain: float = 90.0
    faults: str = "duplicates=0.05,late=0.02,reorder=0.03,drop=0.02,reset=0.01,corrupt=0.01,reboot=0.002"


class Simulator:
    """A Load. One at a time; its output goes to DATA/logs/simulate.log."""

    def __init__(self, settings: Settings, options: LoadOptions | None = None) -> None:
        self._settings, self._options = settings, options or LoadOptions()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self._settings.data / "logs" / "simulate.log"

    def start(self, planned: Round) -> None:
        before = self._acknowledged_bytes()
        self._launch(planned)
        until = time.monotonic() + FIRST_ANSWER_SECONDS
        while self._acknowledged_bytes() == before:
            self.watch()
            if time.monotonic() > until:
                raise LoadFailed(f"nothing was acknowledged within {FIRST_ANSWER_SECONDS:.0f} s:{self._last_words()}")
            time.sleep(0.05)

    def _acknowledged_bytes(self) -> int:
        """Size of the journals of what was acknowledged (see infra.simulator.journal)."""
        return sum(path.stat().st_size for path in (self._settings.data / "journal").glob("*/acknowledged"))

    def _launch(self, planned: Round) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # Like every process of the stack it must not outlive this one (see infra.stack.launcher).
            self._process = subprocess.Popen(
                (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *self._command(planned)),
                env=child_environment(self._settings.environment()),
                cwd=self._settings.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _command(self, planned: Round) -> Sequence[str]:
        return command(
            "simulate",
            *("--for", f"{planned.load_seconds:.1f}s"),
            *("--devices", str(self._options.devices)),
            *("--rate", f"{self._options.rate:g}"),
            *("--batch", str(self._options.batch)),
            *("--heartbeat", f"{self._options.heartbeat:g}s"),
            *("--drain", f"{self._options.drain:g}s"),
            *("--seed", str(planned.seed)),
            *("--faults", self._options.faults),
            *(("--mtls", "--join", f"{planned.load_seconds:.1f}s") if planned.registering else ("--plain",)),
        )

    def watch(self) -> None:
        if self._running().poll() is not None:
            raise LoadFailed(f"it ended early, with exit code {self._running().returncode}:{self._last_words()}")

    def finish(self, seconds: float) -> None:
        process = self._running()
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LoadFailed(f"it did not come to its end within {seconds:.0f} s:{self._last_words()}") from None
        if code != 0:
            raise LoadFailed(f"exit code {code}:{self._last_words()}")

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start comes first"
        return self._process

    def _last_words(self) -> str:
        return "\n  ".join(["", *(readable(line) for line in tail(self.log, LINES_SHOWN))])
