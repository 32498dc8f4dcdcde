"""Doing to processes what the schedule says, at the time it says."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from infra.chaos.schedule import Action, Round, Step
from infra.stack.service import StackError

APPEARS_SECONDS = 30.0  # a process that is being restarted has a process id again by then


class Processes(Protocol):
    """What chaos needs of a running stack (infra.stack.harness.Stack)."""

    @property
    def names(self) -> list[str]: ...

    def pid(self, name: str) -> int: ...
    def state(self, name: str) -> str: ...
    def restarts(self, name: str) -> int: ...
    def kill(self, name: str, number: signal.Signals = ...) -> int: ...
    def stop(self, name: str) -> None: ...
    def start(self, name: str, timeout: float = ...) -> None: ...
    def wait_healthy(self, name: str, timeout: float = ...) -> None: ...


@dataclass(frozen=True, slots=True)
class Done:
    """A step as it was done: `at` seconds after the load began, to the process that had the id `pid` (None: it started)."""

    step: Step
    at: float
    pid: int | None

    def __str__(self) -> str:
        who = f" (pid {self.pid})" if self.pid is not None else ""
        return f"{self.at:.2f} s {self.step.action} {self.step.process}{who}"


@dataclass(frozen=True, slots=True)
class Clock:
    """Monotonic seconds, and waiting."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Injector:
    """Performs steps on processes. `release` undoes what lasts; call it however the round ends."""

    def __init__(self, processes: Processes, clock: Clock | None = None) -> None:
        self._processes, self._clock = processes, clock or Clock()
        self._frozen: set[str] = set()
        self._down: set[str] = set()
        self.done: list[Done] = []

    def play(self, planned: Round, began: float, watch: Callable[[], None]) -> None:
        """Perform the steps of a round at their times after `began`; `watch` is called often and may raise to end it.

        Raises:
            StackError: a process that a step names does not appear, or does not end or start as it should.
        """
        for step in planned.steps:
            while (left := began + step.at - self._clock.now()) > 0:
                watch()
                self._clock.sleep(min(left, 0.1))
            self._perform(step, began)

    def release(self) -> None:
        """Wake what is frozen and start what is down.

        Raises:
            StackError: a process does not start.
        """
        for name in sorted(self._frozen):
            try:
                self._processes.kill(name, signal.SIGCONT)
            except StackError:  # it ended while it was frozen; there is nothing to wake
                continue
        self._frozen.clear()
        for name in sorted(self._down):
            self._processes.start(name)
        self._down.clear()

    @property
    def deaths(self) -> dict[str, int]:
        """For each process how often a step ended it such that the supervisor had to restart it."""
        killed = [done.step.process for done in self.done if done.step.action is Action.KILL]
        return {name: killed.count(name) for name in set(killed)}

    def _perform(self, step: Step, began: float) -> None:
        name, pid = step.process, None
        match step.action:
            case Action.KILL:
                pid = self._signal(name, signal.SIGKILL)
                self._frozen.discard(name)
            case Action.LOSE:
                pid = self._signal(name, signal.SIGKILL)
                self._processes.stop(name)
                self._frozen.discard(name)
                self._down.add(name)
            case Action.FREEZE:
                self._frozen.add(name)
                pid = self._signal(name, signal.SIGSTOP)
            case Action.THAW:
                pid = self._signal(name, signal.SIGCONT)
                self._frozen.discard(name)
            case Action.STOP:
                pid = self._processes.pid(name)
                self._processes.stop(name)
                self._down.add(name)
            case Action.START:
                self._processes.start(name)
                self._down.discard(name)
        self.done.append(Done(step, round(self._clock.now() - began, 3), pid))

    def _signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal; a process that is just being restarted is waited for."""
        until = self._clock.now() + APPEARS_SECONDS
        while True:
            try:
                return self._processes.kill(name, number)
            except StackError:
                if self._clock.now() > until or not self._restarting(name):
                    raise
                self._clock.sleep(0.02)

    def _restarting(self, name: str) -> bool:
        return self._processes.state(name) in ("backoff", "starting")
