"""The supervisor: starts the services in the order of their needs, keeps them running, stops them in reverse."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.stack import state
from infra.stack.child import Child
from infra.stack.logs import readable, tail
from infra.stack.service import Port, Service, StackError, levels

Told = Callable[[float, str, str, str], None]  # seconds since start, process, state, reason
LOG_LINES_SHOWN = 15


def tell_nobody(seconds: float, name: str, what: str, reason: str) -> None:
    """For callers that need no progress."""


class Supervisor:
    """All methods but the constructor belong to one event loop, whose thread must live as long as the processes: they
    are killed by the kernel when it ends (see launcher.py). The caller holds the data directory's lock."""

    def __init__(self, services: Sequence[Service], data: Path, told: Told = tell_nobody) -> None:
        self.data, self._told = data, told
        self._levels = levels(tuple(services))
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="health")
        self._started = time.monotonic()
        self.children = {
            service.name: Child(service, data / "logs" / f"{service.name}.log", self._pool, self._changed)
            for level in self._levels
            for service in level
        }
        pid = os.getpid()
        self.state = state.StackState(pid, state.start_time(pid), time.time())

    @property
    def ports(self) -> list[Port]:
        return [port for child in self.children.values() for port in child.service.ports]

    async def start(self) -> None:
        """Start all; returns when all are healthy (or done).

        Raises:
            StackError: one has failed; the message names it and shows the end of its log. The rest still runs.
        """
        self._started = time.monotonic()
        for child in self.children.values():
            self._begin(child)
        ready = [asyncio.create_task(self._ready(child)) for child in self.children.values()]
        try:
            await asyncio.gather(*ready)
        except StackError as error:
            self.state.state, self.state.failure = "failed", str(error)
            self._save()
            raise
        finally:
            for task in ready:
                task.cancel()
        self.state.state = "healthy"
        self._save()

    async def stop(self) -> None:
        """Stop all in reverse order: what needs others first."""
        for level in reversed(self._levels):
            await asyncio.gather(*(self.children[service.name].stop() for service in level))
        if self.state.state != "failed":
            self.state.state = "stopped"
        self._save()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def begin_again(self, name: str) -> None:
        """Start one process that was stopped."""
        self._begin(self.children[name])

    async def failed(self) -> None:
        """Never returns.

        Raises:
            StackError: the supervision of a process has ended by itself, which it must not.
        """
        while True:
            for child in self.children.values():
                if child.failure is not None:
                    raise StackError(self._explain(child, child.failure))
            await asyncio.sleep(0.5)

    def _begin(self, child: Child) -> None:
        child.begin([self.children[name].ready_once for name in child.service.after if name in self.children])

    async def _ready(self, child: Child) -> None:
        while not child.ready_once.is_set():
            if child.failure is not None:
                raise StackError(self._explain(child, child.failure))
            await asyncio.sleep(0.02)

    def _explain(self, child: Child, failure: BaseException) -> str:
        lines = [readable(line) for line in tail(child.log_path, LOG_LINES_SHOWN)]
        end = "\n  ".join(["", *lines]) if lines else " (it wrote nothing)"
        return f"{failure}\nthe end of {child.log_path}:{end}"

    def _changed(self, child: Child) -> None:
        seconds = round(time.monotonic() - self._started, 2)
        last = next((what for _, name, what in reversed(self.state.timeline) if name == child.service.name), "")
        try:
            if child.state != last:
                self.state.timeline = [*self.state.timeline[-999:], (seconds, child.service.name, child.state)]
                self._told(seconds, child.service.name, child.state, child.reason)
            self._save()
        except OSError as error:  # a full disk or a closed terminal must not end the processes
            print(f"fleetlog: cannot tell that {child.service.name} is {child.state}: {error}", file=sys.stderr)

    def _save(self) -> None:
        self.state.processes = [
            state.ProcessState(
                name=name,
                state=child.state,
                reason=child.reason,
                pid=child.pid,
                start=state.start_time(child.pid) if child.pid else None,
                since=child.since,
                restarts=child.restarts,
                ports={port.setting: port.number for port in child.service.ports},
            )
            for name, child in self.children.items()
        ]
        state.write(self.data, self.state)
