"""A stack inside the calling process, on free ports, for tests, chaos runs and benches.

`with running_stack(tmp_path, only=("broker", "registry")) as stack:` gives a Stack: stack.settings.kafka,
stack.kill("broker"), stack.wait_healthy("broker") ... `running_beside` starts only what another stack does not have.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from infra.settings import Settings
from infra.stack import jars, state
from infra.stack.child import Child
from infra.stack.ports import free_ports
from infra.stack.service import Port, Service, StackError
from infra.stack.services import plan
from infra.stack.supervisor import Supervisor, Told, tell_nobody

T = TypeVar("T")
ENDING = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGABRT})


class Stack:
    """A running stack. Its methods may be called from any thread; they return when what they say is so.

    A name that the stack does not have is a KeyError.
    """

    def __init__(
        self,
        settings: Settings,
        supervisor: Supervisor,
        loop: asyncio.AbstractEventLoop,
        lent: Mapping[str, "Stack"] | None = None,
    ) -> None:
        """`lent`: the processes that belong to other stacks, by name; they are reached through this one too."""
        self.settings = settings
        self._supervisor, self._loop, self._lent = supervisor, loop, dict(lent or {})

    @property
    def names(self) -> list[str]:
        return [*self._lent, *self._supervisor.children]

    @property
    def ports(self) -> dict[str, list[Port]]:
        """Of each process of its own."""
        return {name: list(child.service.ports) for name, child in self._supervisor.children.items()}

    def pid(self, name: str) -> int:
        """
        Raises:
            StackError: it has no process just now.
        """
        pid = self._child(name).pid
        if pid is None:
            raise StackError(f"{name} is not running")
        return pid

    def state(self, name: str) -> str:
        """See infra.stack.child.Child."""
        return self._child(name).state

    def restarts(self, name: str) -> int:
        return self._child(name).restarts

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to the process; returns its pid. After a deadly signal, waits until the process is gone."""
        child = self._child(name)
        lives, pid = child.lives, self.pid(name)
        os.kill(pid, number)
        if number in ENDING:
            self._wait(lambda: child.lives > lives, child.service.stop_seconds, f"{name} to end")
        return pid

    def wait_healthy(self, name: str, timeout: float = 60.0) -> None:
        """
        Raises:
            StackError: it is not healthy within `timeout` seconds.
        """
        child = self._child(name)
        self._wait(lambda: child.state in ("healthy", "done"), timeout, f"{name} to be healthy")

    def stop(self, name: str) -> None:
        """Stop one process cleanly; it stays stopped."""
        self._owner(name)._call(self._child(name).stop())

    def start(self, name: str, timeout: float = 60.0) -> None:
        """Start a stopped process; returns when it is healthy."""
        owner = self._owner(name)
        owner._call(owner._supervisor.begin_again(name))
        self.wait_healthy(name, timeout)

    def log(self, name: str) -> Path:
        return self._child(name).log_path

    def _owner(self, name: str) -> "Stack":
        return self._lent.get(name, self)

    def _child(self, name: str) -> Child:
        return self._owner(name)._supervisor.children[name]

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _wait(self, done: Callable[[], bool], timeout: float, what: str) -> None:
        until = time.monotonic() + timeout
        while not done():
            if time.monotonic() > until:
                raise StackError(f"waited {timeout:.0f} s for {what}")
            time.sleep(0.01)


@contextmanager
def running_stack(
    directory: Path,
    only: Sequence[str] | None = None,
    workers: int = 1,
    told: Told = tell_nobody,
    settings: Settings | None = None,
    change: Callable[[Service], Service] = lambda service: service,
) -> Iterator[Stack]:
    """A stack of the processes named in `only` (all if None) on free ports, healthy; stopped cleanly at the end.

    `directory` holds its data: a second stack on the same directory goes on with it. `settings` gives all other settings.
    `change` may put another service in the place of one that is planned, such as a worker with another command.

    Raises:
        StackError: it cannot be started.
    """
    jars.ensure(lambda text: None)
    with (
        free_settings(directory, workers, settings) as (chosen, spare_port),
        run_services(tuple(change(service) for service in plan(chosen, only, spare_port)), chosen, told) as stack,
    ):
        yield stack


@contextmanager
def running_beside(
    beside: Stack, directory: Path, only: Sequence[str], workers: int = 1, settings: Settings | None = None
) -> Iterator[Stack]:
    """As `running_stack`, but what `beside` runs of it is used and not started: it stays as it is at the end, data and all.

    Raises:
        StackError: it cannot be started.
    """
    with free_settings(directory, workers, settings) as (chosen, spare_port):
        lent = {service.name: beside for service in plan(chosen, only, spare_port) if service.name in beside.names}
        taken = {port.setting: port.number for name, ports in beside.ports.items() if name in lent for port in ports}
        chosen = replace(chosen, **taken)  # type: ignore[arg-type]  # these settings are numbers
        own = [service for service in plan(chosen, only, spare_port) if service.name not in lent]
        with run_services(own, chosen, lent=lent) as stack:
            yield stack


@contextmanager
def free_settings(directory: Path, workers: int = 1, settings: Settings | None = None) -> Iterator[tuple[Settings, int]]:
    """`settings` with its data in `directory` and all ports free ones, kept until the end; and one more free port."""
    with free_ports(21 + workers) as ports:
        yield (
            replace(
                settings or Settings(),
                data_dir=str(directory.resolve()),
                workers=workers,
                kafka_port=ports[0],
                kafka_controller_port=ports[1],
                redis_port=ports[2],
                clickhouse_port=ports[3],
                clickhouse_http_port=ports[4],
                registry_port=ports[5],
                ingress_port=ports[6],
                supervisor_metrics_port=ports[7],
                registry_backend_port=ports[9],
                registration_port=ports[10],
                data_port=ports[11],
                authority_port=ports[12],
                archiver_metrics_port=ports[13],
                worker_metrics_port=ports[14],
                trends_port=ports[14 + workers],
            ),
            ports[8],
        )


@contextmanager
def run_services(
    services: Sequence[Service], settings: Settings, told: Told = tell_nobody, lent: Mapping[str, Stack] | None = None
) -> Iterator[Stack]:
    """Any services, supervised in this process; stopped cleanly at the end. `lent` as in Stack.

    Raises:
        StackError: one does not become healthy, or a stack runs on this data directory already.
    """
    with state.lock(settings.data), _loop_in_thread() as loop:
        supervisor = Supervisor(services, settings.data, told)
        stack = Stack(settings, supervisor, loop, lent)
        try:
            stack._call(supervisor.start())
            yield stack
        finally:
            stack._call(supervisor.stop())


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own, which starts all processes and so must outlive them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="supervisor", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
