"""A stack, a load and proofs that only remember what was asked of them."""

import signal
from dataclasses import dataclass, field
from typing import Any

from infra.chaos.inject import Clock
from infra.chaos.rounds import LoadFailed
from infra.chaos.schedule import EVERYTHING, Round
from infra.stack.service import StackError


@dataclass
class FakeTime:
    """Time that passes only while somebody sleeps."""

    now: float = 100.0

    def clock(self) -> Clock:
        return Clock(lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class FakeProcesses:
    """Processes that are restarted 0.2 s after a SIGKILL. `events` is (second, what, process)."""

    time: FakeTime
    events: list[tuple[float, str, str]] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    back_at: dict[str, float] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        return list(EVERYTHING)

    def pid(self, name: str) -> int:
        if name in self.down or self.back_at.get(name, 0.0) > self.time.now:
            raise StackError(f"{name} is not running")
        return 1000 + self.names.index(name)

    def state(self, name: str) -> str:
        if name in self.down:
            return "stopped"
        return "backoff" if self.back_at.get(name, 0.0) > self.time.now else "healthy"

    def restarts(self, name: str) -> int:
        return self.counted.get(name, 0)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        pid = self.pid(name)
        self._note(number.name, name)
        if number is signal.SIGSTOP:
            self.frozen.add(name)
        elif number is signal.SIGCONT:
            self.frozen.discard(name)
        else:
            self.frozen.discard(name)
            self.counted[name] = self.counted.get(name, 0) + 1
            self.back_at[name] = self.time.now + 0.2
        return pid

    def stop(self, name: str) -> None:
        self._note("stop", name)
        if self.back_at.get(name, 0.0) > self.time.now:
            self.counted[name] -= 1  # the restart that was to come is called off
        self.down.add(name)

    def start(self, name: str, timeout: float = 60.0) -> None:
        self._note("start", name)
        self.down.discard(name)

    def wait_healthy(self, name: str, timeout: float = 60.0) -> None:
        if self.state(name) == "stopped":
            raise StackError(f"{name} stays down")

    def _note(self, what: str, name: str) -> None:
        self.events.append((self.time.now, what, name))


@dataclass
class FakeLoad:
    time: FakeTime
    ends_at: float = float("inf")
    drains: bool = True
    calls: list[str] = field(default_factory=list)

    def start(self, planned: Round) -> None:
        self.calls.append("start")

    def watch(self) -> None:
        if self.time.now >= self.ends_at:
            raise LoadFailed("it ended early")

    def finish(self, seconds: float) -> None:
        self.calls.append("finish")
        if not self.drains:
            raise LoadFailed(f"it did not come to its end within {seconds:.0f} s")

    def stop(self) -> None:
        self.calls.append("stop")


@dataclass
class FakeProofs:
    settled: Exception | None = None
    reconciled: Exception | None = None
    verified: Exception | None = None
    calls: list[str] = field(default_factory=list)

    def settle(self, seconds: float) -> None:
        self._answer("settle", self.settled)

    def reconcile(self) -> dict[str, Any]:
        self._answer("reconcile", self.reconciled)
        views = {"telemetry": {"present": 7, "lost": 0, "duplicated": 0}}
        return {"exact": True, "sent": 8, "acknowledged": 7, "logged": 7, "views": views}

    def verify(self) -> dict[str, Any]:
        self._answer("verify", self.verified)
        return {"equal": True, "views": {"telemetry": {"keys": 1, "differing": []}}}

    def _answer(self, name: str, error: Exception | None) -> None:
        self.calls.append(name)
        if error is not None:
            raise error
