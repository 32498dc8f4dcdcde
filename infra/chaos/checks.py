"""What must hold after a fault: everything folded, reconciliation exact, every view as the log implies.

The proofs are asked of the commands that an operator would run, each in a process of its own with a bound on its time.
"""

import json
import subprocess
import sys
import time
from typing import Any

from connectors.ports import Away
from infra import compose, view_status
from infra.chaos.inject import Processes
from infra.chaos.rounds import NotProven, Unsettled
from infra.settings import Settings, child_environment
from infra.stack.service import StackError
from projections.catalogue import CATALOGUE

COMMAND_SECONDS = 180.0
POLL_SECONDS = 0.5
HOLDS, DOES_NOT_HOLD = 0, 1  # exit codes of the commands that prove something


class Checks:
    """Checks on one stack."""

    def __init__(self, settings: Settings, processes: Processes) -> None:
        self._settings, self._processes = settings, processes

    def settle(self, seconds: float) -> None:
        """Return when all processes are healthy and every view has folded all that is in the log.

        Raises:
            Unsettled: not so within `seconds`, or a view has halted.
        """
        until = time.monotonic() + seconds
        try:
            for name in self._processes.names:
                self._processes.wait_healthy(name, max(0.1, until - time.monotonic()))
        except StackError as error:
            raise Unsettled(str(error)) from error
        while behind := self._behind():
            if time.monotonic() > until:
                raise Unsettled(f"after {seconds:.0f} s: {behind}")
            time.sleep(POLL_SECONDS)

    def _behind(self) -> str:
        """Which views have something left to fold, in words; empty when none has.

        Raises:
            Unsettled: one has halted.
        """
        try:
            log = compose.log_reader(self._settings)
            try:
                found = [view_status.status(self._settings, view, log) for view in CATALOGUE]
            finally:
                log.close()
        except Away as away:
            return str(away)
        for view in found:
            for source, why in view.halted.items():
                raise Unsettled(f"{view.name} has halted at {source}: {why}")
        return ", ".join(f"{view.name} has {view.lag} records to fold" for view in found if view.lag)

    def reconcile(self) -> dict[str, Any]:
        """The report of `fleetlog reconcile`.

        Raises:
            NotProven: it is not exact, or there is no report.
        """
        return self._proof("exact", "reconcile", "--json")

    def verify(self) -> dict[str, Any]:
        """The reports of `fleetlog projection verify --all`, `fleetlog decider verify` and `fleetlog ledger verify`.

        Raises:
            NotProven: a view is not equal to what the log implies, a command was not decided once, the ledger is not as it
                was signed, or there is no report.
        """
        views = self._proof("equal", "projection", "verify", "--all", "--json")
        decided = self._proof("equal", "decider", "verify", "--json")
        return views | decided | {"ledger": self._proof("valid", "ledger", "verify", "--json")}

    def _proof(self, verdict: str, *arguments: str) -> dict[str, Any]:
        name = " ".join(("fleetlog", *arguments))
        try:
            done = subprocess.run(
                command(*arguments),
                env=child_environment(self._settings.environment()),
                cwd=self._settings.data,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            raise NotProven(f"{name} did not end within {COMMAND_SECONDS:.0f} s", str(expired.stderr)) from None
        try:
            report = json.loads(done.stdout)
        except ValueError:
            report = None
        if done.returncode not in (HOLDS, DOES_NOT_HOLD) or not isinstance(report, dict):
            raise NotProven(f"{name} exited with {done.returncode}", f"{done.stdout}\n{done.stderr}")
        if report.get(verdict) is not True or done.returncode != HOLDS:
            raise NotProven(f"{name} is not {verdict} (exit code {done.returncode})", report)
        return report


def command(*arguments: str) -> tuple[str, ...]:
    """The `fleetlog` command with these arguments, run by this interpreter (-P: not from its working directory)."""
    return (sys.executable, "-P", "-m", "infra.cli.main", *arguments)
